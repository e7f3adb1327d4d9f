/**
 * Finds what stands before the names of a checkpoint that was stored out of a wrapper, such as `module.` or
 * `model.backbone.`: the shortest beginning, ending in a dot or slash, without which each name is known. Names without it
 * are to be known as they are.
 *
 * @param names of the tensors
 * @param isKnown whether a weight of the model is called so
 * @returns empty where all names are known as they are, or are not whatever is left out, or two would become one
 */
export function foreignPrefix(names: readonly string[], isKnown: (name: string) => boolean): string {
  const unknown = names.find(name => !isKnown(name))
  if (unknown === undefined) return ''
  const prefixes = [...unknown.matchAll(/[./]/g)].map(({ index }) => unknown.slice(0, index + 1))
  const explains = (prefix: string) => {
    const own = names.map(name => withoutPrefix(name, prefix))
    return own.every(isKnown) && new Set(own).size === names.length
  }
  return prefixes.find(explains) ?? ''
}

/** A name without a prefix, where it has it. */
export function withoutPrefix(name: string, prefix: string): string {
  return name.startsWith(prefix) ? name.slice(prefix.length) : name
}
