/**
 * The public API as text: what each entry point exports, with its signatures and without its
 * documentation. tests/package/api_test.ts compares it with tests/package/api.txt, so that no change
 * of it goes unnoticed; when one is meant, this writes it anew:
 *
 *     deno task api
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { outputOf, ROOT } from "./run.ts";
import config from "../deno.json" with { type: "json" };

/** Where the text is kept. */
export const API_FILE = join(ROOT, "tests/package/api.txt");

/** What `deno doc --json` says of a type; its `value` depends on the kind. */
interface Type {
  kind: string;
  repr?: string;
  // deno-lint-ignore no-explicit-any -- two dozen shapes, each read once below
  value?: any;
}

interface TypeParameter {
  name: string;
  constraint?: Type;
  default?: Type;
}

interface Parameter {
  kind: string;
  name?: string;
  optional?: boolean;
  tsType?: Type;
  arg?: Parameter;
  left?: Parameter;
}

interface Signature {
  params: Parameter[];
  typeParams?: TypeParameter[];
  returnType?: Type;
  tsType?: Type;
  hasBody?: boolean;
}

interface Member extends Signature {
  name: string;
  kind?: string;
  functionDef?: Signature;
  readonly?: boolean;
  optional?: boolean;
  accessibility?: string;
  isStatic?: boolean;
  isAbstract?: boolean;
}

/** What a type literal, an interface and a class may have. */
interface Members {
  constructors?: Member[];
  callSignatures?: Member[];
  indexSignatures?: Member[];
  properties?: Member[];
  methods?: Member[];
}

interface Location {
  filename: string;
  byteIndex: number;
}

interface Declaration {
  kind: string;
  location: Location;
  def: Members & Signature & {
    extends?: string | Type[];
    superTypeParams?: Type[];
    implements?: Type[];
    isAbstract?: boolean;
    target?: Location;
  };
}

interface Docs {
  nodes: Record<string, { symbols: { name: string; declarations: Declaration[] }[] }>;
}

/** The text for all entry points. */
export async function apiText(): Promise<string> {
  const entries = Object.entries(config.exports);
  const files = entries.map(([, file]) => file);
  const { success, stdout, stderr } = await outputOf(["doc", "--json", ...files]);
  if (!success) throw new Error(stderr);
  const { nodes }: Docs = JSON.parse(stdout);
  const home = new Map<string, string>();
  const symbolsOf = (file: string) => nodes[pathToFileURL(join(ROOT, file)).href].symbols;
  for (const [entry, file] of entries) {
    for (const { declarations } of symbolsOf(file)) {
      for (const { kind, location } of declarations) {
        if (kind !== "reference") home.getOrInsert(placeOf(location), entry);
      }
    }
  }
  const sections = entries.map(([entry, file]) => {
    const lines = symbolsOf(file)
      .flatMap(({ name, declarations }) =>
        declarations.filter(({ def }) => !def.hasBody || declarations.length === 1)
          .map((one) => declared(name, one, entry, home))
      )
      .sort((a, b) => a < b ? -1 : 1);
    return [`# ${entry}`, ...lines].join("\n\n");
  });
  return `${sections.join("\n\n")}\n`;
}

const placeOf = ({ filename, byteIndex }: Location) => `${filename}:${byteIndex}`;

function declared(
  name: string,
  { kind, def, location }: Declaration,
  entry: string,
  home: Map<string, string>,
): string {
  // What several entry points export is written down at the first.
  const described = home.get(placeOf(kind === "reference" ? def.target! : location));
  if (described !== entry) return `${name}: see ${described}`;
  switch (kind) {
    case "function":
      return `function ${name}${signature(def)}`;
    case "variable":
      return `const ${name}: ${text(def.tsType)}`;
    case "typeAlias":
      return `type ${name}${typeParameters(def.typeParams)} = ${text(def.tsType)}`;
    case "interface":
      return body(`interface ${name}${typeParameters(def.typeParams)}${bases(def)}`, def);
    case "class":
      return body(
        `${def.isAbstract ? "abstract " : ""}class ${name}${typeParameters(def.typeParams)}${
          bases(def)
        }`,
        def,
      );
    default:
      throw new TypeError(`Cannot show the ${kind} ${name}`);
  }
}

function bases(def: Declaration["def"]): string {
  const { extends: base, implements: kept = [] } = def;
  const parents = typeof base === "string"
    ? [base + typeArguments(def.superTypeParams)]
    : (base ?? []).map(text);
  return (parents.length > 0 ? ` extends ${parents.join(", ")}` : "") +
    (kept.length > 0 ? ` implements ${kept.map(text).join(", ")}` : "");
}

function body(head: string, members: Members): string {
  return [head, ...membersOf(members).map((member) => `  ${member}`)].join("\n");
}

function membersOf({
  constructors = [],
  callSignatures = [],
  indexSignatures = [],
  properties = [],
  methods = [],
}: Members): string[] {
  return [
    ...overloads(constructors).map(({ params }) => `constructor(${parameters(params)})`),
    ...callSignatures.map((member) => signature({ ...member, returnType: member.tsType })),
    ...indexSignatures.map((member) => `[${parameters(member.params)}]: ${text(member.tsType)}`),
    ...properties.filter(isPublic).map((member) =>
      `${modifiers(member)}${member.name}${member.optional ? "?" : ""}: ${text(member.tsType)}`
    ),
    ...overloads(methods.filter(isPublic)).map((member) => {
      const kind = { getter: "get ", setter: "set " }[member.kind ?? ""] ?? "";
      const optional = member.optional ? "?" : "";
      return `${modifiers(member)}${kind}${member.name}${optional}${
        signature(member.functionDef ?? member)
      }`;
    }),
  ];
}

/** Without what implements several overloads, which nobody can call. */
function overloads(members: Member[]): Member[] {
  return members.filter(({ name, kind, hasBody, functionDef }) => {
    const isBody = functionDef?.hasBody ?? hasBody;
    return !isBody || members.filter((one) => one.name === name && one.kind === kind).length === 1;
  });
}

const isPublic = ({ accessibility }: Member) => accessibility !== "private";

function modifiers({ accessibility, isStatic, isAbstract, readonly }: Member): string {
  return [accessibility, isStatic && "static", isAbstract && "abstract", readonly && "readonly"]
    .filter((word) => word).map((word) => `${word} `).join("");
}

/** Whether a method is async is its own affair: the promise says all. */
function signature({ typeParams, params, returnType }: Signature, arrow = ": "): string {
  return `${typeParameters(typeParams)}(${parameters(params)})${arrow}${text(returnType)}`;
}

function parameters(params: Parameter[]): string {
  return params.map((param) => {
    if (param.kind === "rest") return `...${param.arg!.name}: ${text(param.tsType)}`;
    const { name = "options", tsType } = param.left ?? param;
    return `${name}${param.optional || param.left ? "?" : ""}: ${text(tsType)}`;
  }).join(", ");
}

function typeParameters(typeParams: TypeParameter[] = []): string {
  const all = typeParams.map(({ name, constraint, default: otherwise }) =>
    name + (constraint ? ` extends ${text(constraint)}` : "") +
    (otherwise ? ` = ${text(otherwise)}` : "")
  );
  return all.length > 0 ? `<${all.join(", ")}>` : "";
}

function typeArguments(types: Type[] = []): string {
  return types.length > 0 ? `<${types.map(text).join(", ")}>` : "";
}

/** A type as it is written. */
function text(type: Type | undefined): string {
  if (type === undefined) return "unknown";
  const { kind, value } = type;
  switch (kind) {
    case "keyword":
      return value;
    case "this":
      return "this";
    case "typeRef":
      return value.typeName + typeArguments(value.typeParams);
    case "typeQuery":
      return `typeof ${value}`;
    case "literal":
      return value.kind === "string" ? JSON.stringify(value.string) : type.repr!;
    case "union":
      return value.map(text).join(" | ");
    case "intersection":
      return value.map(text).join(" & ");
    case "array":
      return `${text(value)}[]`;
    case "tuple":
      return `[${value.map(text).join(", ")}]`;
    case "rest":
      return `...${text(value)}`;
    case "optional":
      return `${text(value)}?`;
    case "parenthesized":
      return `(${text(value)})`;
    case "typeOperator":
      return `${value.operator} ${text(value.tsType)}`;
    case "indexedAccess":
      return `${text(value.objType)}[${text(value.indexType)}]`;
    case "infer":
      return `infer ${typeParameters([value.typeParam]).slice(1, -1)}`;
    case "fnOrConstructor":
      return (value.constructor === true ? "new " : "") +
        signature({ ...value, returnType: value.tsType }, " => ");
    case "conditional":
      return `${text(value.checkType)} extends ${text(value.extendsType)} ? ${
        text(value.trueType)
      } : ${text(value.falseType)}`;
    case "mapped":
      return `{ [${value.typeParam.name} in ${text(value.typeParam.constraint)}${
        value.nameType ? ` as ${text(value.nameType)}` : ""
      }]${value.optional ? "?" : ""}: ${text(value.tsType)} }`;
    case "typeLiteral":
      return `{ ${membersOf(value).join("; ")} }`;
    case "typePredicate":
      return `${value.asserts ? "asserts " : ""}${value.param.name ?? "this"} is ${
        text(value.type)
      }`;
    default:
      throw new TypeError(`Cannot show a type of the kind ${kind}`);
  }
}

if (import.meta.main) await Deno.writeTextFile(API_FILE, await apiText());
