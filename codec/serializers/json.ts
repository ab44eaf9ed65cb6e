import type { ValueFormat } from "../format.ts";
import { looksRich, plainText } from "../plain.ts";
import {
  holeyIndices,
  indexStep,
  located,
  MAX_DEPTH,
  ownNames,
  propertyStep,
  Refusal,
  refusalError,
  refusalOf,
} from "../refusal.ts";
import { SharedTexts } from "../shared_texts.ts";
import { toBytes } from "../text.ts";
import { deserializeJson, richText } from "./json_text.ts";

/**
 * JSON and nothing else: a value that JSON cannot express exactly is refused. It has no references,
 * so an object that occurs twice comes back as two equal ones.
 */
export const json: ValueFormat = {
  name: "json",
  serialize: (value) => toBytes(textOf(value)),
  text: textOf,
  deserialize: deserializeJson,
};

function textOf(value: unknown): string {
  try {
    return plainText(value) ?? strictText(value);
  } catch (error) {
    throw refusalError("Cannot serialize value as JSON", error);
  }
}

function strictText(value: unknown): string {
  const text = new StrictWriter().write(value);
  // A value that looks like the holder of a tagged tree is itself written as a tagged tree.
  const holder = typeof value === "object" && value !== null && looksRich(value);
  return holder ? richText(value) : text;
}

/** Writes what `JSON.stringify` would, and `-0`, and refuses values that would not come back. */
class StrictWriter {
  readonly #ancestors: object[] = [];
  readonly #texts = new SharedTexts();

  write(value: unknown): string {
    switch (typeof value) {
      case "string":
      case "boolean":
        return JSON.stringify(value);
      case "number":
        if (!Number.isFinite(value)) throw new Refusal(`is ${value}, which JSON does not have`);
        return Object.is(value, -0) ? "-0" : JSON.stringify(value);
      case "object":
        return value === null ? "null" : this.#object(value);
      case "undefined":
      case "bigint":
        throw new Refusal(`is ${typeof value}, which JSON does not have`);
      default:
        throw refusalOf(value);
    }
  }

  #object(value: object): string {
    const known = this.#texts.get(value);
    if (known !== undefined) return known;
    if (this.#ancestors.includes(value)) throw new Refusal("is part of a cycle");
    if (this.#ancestors.push(value) > MAX_DEPTH) {
      throw new Refusal(`is nested deeper than ${MAX_DEPTH} levels`);
    }
    const text = this.#content(value);
    this.#ancestors.pop();
    this.#texts.set(value, text);
    return text;
  }

  #content(value: object): string {
    const prototype: object | null = Object.getPrototypeOf(value);
    if (prototype === Object.prototype) {
      const properties = ownNames(value).map((name) => {
        const text = this.#part(() => (value as Record<string, unknown>)[name], propertyStep(name));
        return `${JSON.stringify(name)}:${text}`;
      });
      return `{${properties.join()}}`;
    }
    if (prototype === Array.prototype) {
      const array = value as unknown[];
      if (holeyIndices(array) !== undefined) throw new Refusal("is an array with holes");
      return `[${array.map((item, i) => this.#part(() => item, indexStep(i))).join()}]`;
    }
    if (prototype === null) throw new Refusal("is an object without prototype");
    throw new Refusal(`is ${Object.prototype.toString.call(value)}, which JSON does not have`);
  }

  #part(read: () => unknown, step: string): string {
    try {
      return this.write(read());
    } catch (error) {
      throw located(error, step);
    }
  }
}
