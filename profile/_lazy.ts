/**
 * Loads a module of this folder when it is needed. Its address is computed, so that a program that
 * only wants rows does not download what draws charts.
 */
export function load<Module>(name: string): Promise<Module> {
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
  return import(new URL(`./${name}${extension}`, import.meta.url).href);
}
