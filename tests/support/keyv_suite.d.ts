/** Keyv's suite without the types of the test runner that it was written for. */
type Group = (test: object, Keyv: unknown, store: () => unknown) => void;
export const keyvApiTests: Group;
export const keyvValueTests: Group;
export const keyvNamespaceTest: Group;
export const keyvIteratorTests: Group;
