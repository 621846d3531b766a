import { describe, expect, it } from "vitest";
import type { Json } from "../src/api/generated";
import { type Field, fieldOf, type Filled, filledWith, problemOf, read } from "../src/forms/schema";
import { schemaOfAnnotation, schemaOfInputs, splitTop } from "../src/forms/signature";

function touched(field: Field, change: Partial<Filled>): Json | undefined | string {
  const result = read(field, { ...filledWith(field), ...change, touched: true });
  return result.ok ? result.value : `✗ ${result.problem}`;
}

describe("the field of a schema", () => {
  it("is what ask_user asks for", () => {
    const choice = fieldOf({ enum: ["publish", "change", "drop"], default: "change" }, "review", true);
    expect(choice.kind).toBe("choice");
    expect(read(choice, filledWith(choice))).toEqual({ ok: true, value: "change" });
    expect(touched(choice, { chosen: [2] })).toBe("drop");
    const many = fieldOf({ type: "array", items: { enum: [1, 2, 3] }, uniqueItems: true }, "many", true);
    expect(touched(many, { chosen: [0, 2] })).toEqual([1, 3]);
    const yes = fieldOf({ type: "boolean" }, "sure", true);
    expect(read(yes, filledWith(yes))).toEqual({ ok: true, value: false });
    expect(touched(fieldOf({ type: "string" }, "t", true), { text: "  x" })).toBe("  x");
    const number = fieldOf({ type: "integer", minimum: 1, maximum: 5 }, "n", true);
    expect(["3", "9", "0", "1.5", "x", ""].map((text) => touched(number, { text }))).toEqual([
      3,
      "✗ At most 5.",
      "✗ At least 1.",
      "✗ A whole number, please.",
      "✗ A number, please.",
      "✗ This is needed.",
    ]);
  });

  it("is a group for an object, with what is optional left out until it is touched", () => {
    const field = fieldOf(
      {
        type: "object",
        required: ["name"],
        properties: { name: { type: "string", minLength: 1 }, age: { type: "integer", default: 7 }, on: { $ref: "#/$defs/flag" } },
        $defs: { flag: { type: "boolean", title: "On or off" } },
      },
      "input",
      true,
    );
    expect(field.fields.map((one) => [one.label, one.kind])).toEqual([
      ["name", "text"],
      ["age", "integer"],
      ["On or off", "boolean"],
    ]);
    const filled = filledWith(field);
    expect(filled.fields["age"]!.text).toBe("7");
    expect(read(field, filled)).toEqual({ ok: false, problem: "name: This is needed." });
    filled.fields["name"] = { ...filled.fields["name"]!, text: "Ada", touched: true };
    expect(read(field, filled)).toEqual({ ok: true, value: { name: "Ada" } });
    filled.fields["age"] = { ...filled.fields["age"]!, text: "8", touched: true };
    expect(read(field, filled)).toEqual({ ok: true, value: { name: "Ada", age: 8 } });
  });

  it("is JSON or text where the schema says nothing", () => {
    const any = fieldOf(undefined, "x", true);
    expect(["1", '{"a":[]}', "plain", '"1"'].map((text) => touched(any, { text }))).toEqual([1, { a: [] }, "plain", "1"]);
    const list = fieldOf({ type: "array" }, "x", true);
    expect(touched(list, { text: "[1" })).toBe("✗ This is no JSON. Texts need quotes.");
    expect(touched(list, { text: "{}" })).toBe("✗ A list, please: [ … ].");
    expect(touched(list, { text: "[1]" })).toEqual([1]);
  });

  it("takes a type or null as that type, and follows no reference out of the schema", () => {
    expect(fieldOf({ type: ["string", "null"] }, "x", false).kind).toBe("text");
    expect(fieldOf({ anyOf: [{ type: "integer" }, { type: "null" }] }, "x", false).kind).toBe("integer");
    expect(fieldOf({ $ref: "https://example.org/schema" }, "x", false).kind).toBe("any");
    expect(fieldOf({ properties: { a: { $ref: "#" } } }, "x", false).kind).toBe("object");
  });

  it("tells what does not fit", () => {
    expect(problemOf({ pattern: "^a+$" }, "b")).toBe("Of the form ^a+$.");
    expect(problemOf({ pattern: "(" }, "b")).toBeNull();
    expect(problemOf({ minItems: 2 }, [1])).toBe("At least 2.");
    expect(problemOf({ maxLength: 2 }, "😀😀")).toBeNull();
    expect(problemOf({ exclusiveMinimum: 0 }, 0)).toBe("More than 0.");
  });
});

describe("the parameters of a flow", () => {
  it("are a schema by annotation and default", () => {
    const schema = schemaOfInputs(
      {
        accepts_extra: false,
        parameters: [
          { name: "name", required: true, annotation: "str", default: null },
          { name: "retries", required: false, annotation: null, default: 3 },
          { name: "mode", required: false, annotation: "Literal['fast', \"slow\"]", default: "fast" },
        ],
      },
      null,
    );
    expect(schema).toEqual({
      type: "object",
      required: ["name"],
      properties: {
        name: { type: "string" },
        retries: { type: "integer", default: 3 },
        mode: { enum: ["fast", "slow"], default: "fast" },
      },
    });
  });

  it("are what the author says of them, where that is a schema", () => {
    const schema = schemaOfInputs(
      { accepts_extra: false, parameters: [{ name: "n", required: true, annotation: "int", default: null }] },
      { type: "object", properties: { n: { title: "How many", minimum: 1 } } },
    );
    expect(schema["properties"]).toEqual({ n: { type: "integer", title: "How many", minimum: 1 } });
  });

  it("know Python's ways to write types", () => {
    const of = (text: string) => schemaOfAnnotation(text);
    expect(of("int | None")).toEqual({ type: "integer" });
    expect(of("typing.Optional[bool]")).toEqual({ type: "boolean" });
    expect(of("list[str]")).toEqual({ type: "array", items: { type: "string" } });
    expect(of("dict[str, list[int]]")).toEqual({ type: "object" });
    expect(of("'pathlib.Path'")).toEqual({ type: "string" });
    expect(of("int | str")).toEqual({});
    expect(of("Order")).toEqual({});
    expect(splitTop("a[b, c], 'd,e', f", ",")).toEqual(["a[b, c]", "'d,e'", "f"]);
  });
});
