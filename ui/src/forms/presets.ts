// Inputs that a person saved for a flow, in this browser.

import type { Json } from "../api/generated";
import { parseJson } from "../model/json";

export interface Preset {
  name: string;
  input: { [key: string]: Json };
}

const key = (workflow: string) => `hero_logic.presets.${workflow}`;

export function presetsOf(workflow: string): Preset[] {
  try {
    const found: unknown = parseJson(localStorage.getItem(key(workflow)) ?? "[]");
    return Array.isArray(found) ? (found as Preset[]).filter((one) => typeof one?.name === "string") : [];
  } catch {
    return [];
  }
}

/** Saves under a name, over what had it; `null` takes it away. Returns what is kept now. */
export function savePreset(workflow: string, name: string, input: Preset["input"] | null): Preset[] {
  const rest = presetsOf(workflow).filter((one) => one.name !== name);
  const all = input === null ? rest : [...rest, { name, input }];
  try {
    localStorage.setItem(key(workflow), JSON.stringify(all));
  } catch {
    // Without storage, or with a full one, it holds until the page is left.
  }
  return all;
}
