// Short messages about what was done or could not be, told to a screen reader too.

export interface Toast {
  id: number;
  text: string;
  bad: boolean;
  link?: { text: string; to: string } | undefined;
}

class Toasts {
  list = $state<Toast[]>([]);
  private next = 1;

  say(text: string, link?: Toast["link"]): void {
    this.add({ text, bad: false, link }, 5_000);
  }

  fail(text: string): void {
    this.add({ text, bad: true }, 12_000);
  }

  drop(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }

  private add(toast: Omit<Toast, "id">, ms: number): void {
    const id = this.next++;
    this.list = [...this.list.slice(-3), { ...toast, id }];
    setTimeout(() => this.drop(id), ms);
  }
}

export const toasts = new Toasts();
