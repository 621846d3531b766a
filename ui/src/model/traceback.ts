// A Python traceback into its parts, so that each frame can be a link to its line. Pure.

export type TracePart =
  | { kind: "frame"; file: string; line: number; function: string; code: string[] }
  | { kind: "text"; text: string }
  | { kind: "error"; text: string };

const FRAME = /^ {2}(?:[| ]*)File "(.+)", line (\d+)(?:, in (.+))?$/;
const ERROR = /^[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning|Failed|Stopped)?(?::|$)/;

export function tracebackParts(traceback: string): TracePart[] {
  const parts: TracePart[] = [];
  const lines = traceback.replace(/\n$/, "").split("\n");
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    const frame = FRAME.exec(line);
    if (frame) {
      const code: string[] = [];
      while (at + 1 < lines.length && lines[at + 1]!.startsWith("    ")) {
        at += 1;
        code.push(lines[at]!.slice(4));
      }
      parts.push({ kind: "frame", file: frame[1]!, line: Number(frame[2]), function: frame[3] ?? "", code });
    } else if (line !== "" && !line.startsWith(" ") && !line.startsWith("Traceback") && ERROR.test(line)) {
      parts.push({ kind: "error", text: line });
    } else {
      const last = parts[parts.length - 1];
      if (last?.kind === "text") last.text += `\n${line}`;
      else parts.push({ kind: "text", text: line });
    }
  }
  return parts;
}

/** The last part of a path. */
export function fileName(path: string): string {
  return path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1);
}
