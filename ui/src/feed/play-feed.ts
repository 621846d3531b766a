// Everything of one play, as it is and as it changes: its record, its spans (into a SpanStore that others may share), its
// logs. This is the one place that knows how the server tells it: the outline gives the shape of all spans at once, the
// stream what changes after it, and what is in a span is asked for where it is shown.

import { auth } from "../api/auth.svelte";
import type { LogPiece, Match, Outline, SpanBody } from "../api/records";
import { connection } from "../api/connection.svelte";
import { CallError, fromBody, messageOf } from "../api/error";
import type { Play, Span } from "../api/records";
import { call } from "../api/rpc";
import type { ServerEvent } from "../api/sse-parser";
import { openStream, type Stream } from "../api/stream";
import { hasEnded } from "../lib/status";
import type { SpanStore } from "../model/store";
import { HAS_LOGS } from "../model/words";
import { applySpan } from "./apply";
import { type LogListener, LogSeam, readLogs } from "./logs-of";
import { addOutline } from "./outline";

export interface FeedHandlers {
  /** The record of the play, each time that it changes. */
  play(play: Play): void;
  /** Spans were added or changed; may come often. */
  spans(): void;
  /** All that there was is here. */
  ready(): void;
  failed(error: CallError): void;
  /** There are more spans than should be held here: rows come in windows, and `followFrom` tells what changes. */
  tooLarge?(): void;
}

export class PlayFeed {
  readonly part: number;
  play: Play | undefined;
  private stream: Stream | undefined;
  private created = 0;
  private listeners = new Set<(piece: LogPiece) => void>();
  private closed = false;
  private windowed = false;

  constructor(
    readonly sid: string,
    private readonly store: SpanStore,
    under: number,
    private readonly handlers: FeedHandlers,
    /** When the play that is shown was created; not given by that play itself. */
    private readonly base?: number,
  ) {
    this.part = store.addPart(sid, under, 0, 1);
    void this.open();
  }

  close(): void {
    this.closed = true;
    this.stream?.close();
  }

  private async open(): Promise<void> {
    const asked = call("play_get", { play_sid: this.sid });
    asked.catch(() => {});
    try {
      const outline = await this.outline();
      let play = await asked;
      // It was asked for at the same time: where it is older than the outline, once more.
      if (play.status !== outline.play.status) play = await call("play_get", { play_sid: this.sid });
      if (this.closed) return;
      this.takePlay(play);
      addOutline(this.store, this.part, outline);
      this.handlers.spans();
      this.handlers.ready();
      // What had ended with the outline changes no more. Else the stream tells what came after it, the end too.
      if (!hasEnded(outline.play.status)) this.follow(String(outline.seq));
    } catch (error) {
      if (!this.closed) this.notOpened(error);
    }
  }

  private notOpened(error: unknown): void {
    if (error instanceof CallError && error.kind === "unreachable") {
      const stop = connection.onFound(() => {
        stop();
        if (!this.closed) void this.open();
      });
      return;
    }
    if (error instanceof CallError && error.kind === "too_large" && this.handlers.tooLarge) {
      void this.openWindowed();
      return;
    }
    this.handlers.failed(error instanceof CallError ? error : new CallError("internal", messageOf(error)));
  }

  private async openWindowed(): Promise<void> {
    this.windowed = true;
    try {
      this.takePlay(await call("play_get", { play_sid: this.sid }));
      if (!this.closed) this.handlers.tooLarge?.();
    } catch (error) {
      if (!this.closed) this.notOpened(error);
    }
  }

  /** Follows what changes after a change number that the server gave. */
  followFrom(seq: number): void {
    if (!this.stream && !this.closed && this.play && !hasEnded(this.play.status)) this.follow(String(seq));
  }

  private async outline(): Promise<Outline> {
    for (;;) {
      const tried = auth.token;
      let answer: Response;
      try {
        answer = await fetch(`/api/plays/${encodeURIComponent(this.sid)}/outline`, { headers: auth.headers() });
      } catch (error) {
        connection.failed();
        throw new CallError("unreachable", messageOf(error));
      }
      if (answer.status === 401) {
        await auth.tokenAfterRefusal(tried);
        continue;
      }
      if (!answer.ok) throw fromBody(answer.status, await answer.text());
      return (await answer.json()) as Outline;
    }
  }

  private follow(after: string): void {
    this.stream = openStream(
      `/api/plays/${encodeURIComponent(this.sid)}/spans`,
      {
        event: (event) => this.event(event),
        refused: (error) => this.handlers.failed(error),
      },
      after,
    );
  }

  private event(event: ServerEvent): void {
    switch (event.type) {
      case "snapshot":
        return this.snapshot(JSON.parse(event.data));
      case "span":
        this.takeSpan(JSON.parse(event.data) as Span);
        return this.handlers.spans();
      case "log":
        return this.takeLog({ ...(JSON.parse(event.data) as Omit<LogPiece, "seq">), seq: Number(event.id) });
      case "play":
        return this.takePlay(JSON.parse(event.data) as Play);
      case "end":
        this.takePlay(JSON.parse(event.data) as Play);
        this.stream?.close();
        return;
      case "error":
        return this.handlers.failed(fromBody(500, event.data));
      default:
        // `lagged`: what changed follows. `stopping`: the stream comes back by itself.
        return;
    }
  }

  /** From the beginning, where the server does not know the change number that was given: what is here already stays. */
  private snapshot(all: { play: Play; spans: Span[] }): void {
    this.takePlay(all.play);
    for (const span of all.spans) this.takeSpan(span);
    this.handlers.spans();
  }

  private takePlay(play: Play): void {
    this.play = play;
    this.created = play.created_at;
    const part = this.store.parts[this.part]!;
    part.attempts = Math.max(part.attempts, play.attempt);
    part.offset = this.base === undefined ? 0 : play.created_at - this.base;
    this.handlers.play(play);
  }

  private takeSpan(span: SpanBody): void {
    // In windows the rows that are seen are asked for again; what is not seen is not kept.
    if (!this.windowed) applySpan(this.store, this.part, span, this.created);
  }

  private takeLog(piece: LogPiece): void {
    const at = this.store.find(this.part, piece.span_id);
    const ord = at >= 0 ? at : this.store.parts[this.part]!.root;
    if (ord >= 0) this.store.flag(ord, HAS_LOGS);
    for (const tell of this.listeners) tell(piece);
  }

  /** The whole record of a span. */
  span(id: string): Promise<SpanBody> {
    return call("span_get", { play_sid: this.sid, span_id: id });
  }

  /** Spans whose name, tags, error or logs contain the text. */
  find(query: string): Promise<Match[]> {
    return call("play_find", { play_sid: this.sid, query });
  }

  /** The logs of a span (of the play, if null), those that are there and those that come. Returns how to stop. */
  logs(span: string | null, listener: LogListener): () => void {
    const root = this.store.ids[this.store.parts[this.part]!.root] ?? "";
    const seam = new LogSeam((pieces, done) => listener.pieces(pieces, done));
    const live = (piece: LogPiece) => {
      if (span === null || piece.span_id === span || (piece.span_id === "" && span === root)) seam.live([piece]);
    };
    this.listeners.add(live);
    const stop = readLogs(this.sid, span, seam, listener);
    return () => {
      stop();
      this.listeners.delete(live);
    };
  }
}
