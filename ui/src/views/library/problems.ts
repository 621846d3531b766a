// Where the server found an error in a source.

import type { CallError } from "../../api/error";
import type { Problem } from "../../editor/editor";

export function problemsOf(error: CallError): Problem[] {
  const { line, column } = error.data;
  if (typeof line !== "number") return [];
  return [{ line, column: typeof column === "number" ? column : 1, message: error.message }];
}
