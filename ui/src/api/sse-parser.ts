// The text of an event stream, in chunks of any size, into events. Linear in the length: a snapshot is one line of many
// megabytes and comes in thousands of chunks.

export interface ServerEvent {
  /** `message` where the stream names none. */
  type: string;
  data: string;
  /** The last id that the stream gave, with this event or before it. */
  id: string;
}

export class EventStreamParser {
  private pieces: string[] = [];
  private type = "";
  private data: string[] = [];
  private id = "";
  private endedWithReturn = false;

  constructor(private readonly emit: (event: ServerEvent) => void) {}

  push(chunk: string): void {
    let from = 0;
    if (this.endedWithReturn && chunk.startsWith("\n")) from = 1;
    this.endedWithReturn = false;
    for (;;) {
      const newline = chunk.indexOf("\n", from);
      const carriage = chunk.indexOf("\r", from);
      const at = newline < 0 ? carriage : carriage < 0 ? newline : Math.min(newline, carriage);
      if (at < 0) break;
      this.pieces.push(chunk.slice(from, at));
      this.line(this.pieces.length === 1 ? this.pieces[0]! : this.pieces.join(""));
      this.pieces.length = 0;
      from = at + 1;
      if (chunk[at] === "\r") {
        if (from === chunk.length) this.endedWithReturn = true;
        else if (chunk[from] === "\n") from += 1;
      }
    }
    if (from < chunk.length) this.pieces.push(chunk.slice(from));
  }

  private line(line: string): void {
    if (line === "") return this.dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") this.data.push(value);
    else if (field === "event") this.type = value;
    else if (field === "id" && !value.includes("\0")) this.id = value;
  }

  private dispatch(): void {
    const { type, data } = this;
    this.type = "";
    if (data.length === 0) return;
    this.data = [];
    this.emit({ type: type || "message", data: data.join("\n"), id: this.id });
  }
}
