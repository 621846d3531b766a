// Light or dark: the system's choice, or one made by hand and kept in this browser. What draws on a canvas follows
// `theme.shown`.

export type Choice = "system" | "light" | "dark";
const KEY = "hero_logic.theme";
const ORDER: Choice[] = ["system", "light", "dark"];

function stored(): Choice {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}

class Theme {
  choice = $state<Choice>(stored());
  shown = $state<"light" | "dark">("light");
  private system = matchMedia("(prefers-color-scheme: dark)");

  start(): void {
    this.system.addEventListener("change", () => this.apply());
    this.apply();
  }

  next(): void {
    this.choice = ORDER[(ORDER.indexOf(this.choice) + 1) % ORDER.length]!;
    try {
      if (this.choice === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, this.choice);
    } catch {
      // Without storage it holds until the page is left.
    }
    this.apply();
  }

  private apply(): void {
    const dark = this.choice === "dark" || (this.choice === "system" && this.system.matches);
    document.documentElement.dataset["theme"] = dark ? "dark" : "light";
    this.shown = dark ? "dark" : "light";
  }
}

export const theme = new Theme();
