/**
 * Finds the prefix that a wrapper put before the names of a checkpoint, such as `module.` or `model.backbone.`: the
 * shortest beginning, ending in a dot or slash, without which each name is known. Names that do not have the prefix must
 * be known as they are.
 *
 * @param names of the tensors
 * @param isKnown whether a weight of the model is called so
 * @returns an empty text where all names are known as they are, where no prefix makes all of them known, or where two
 *   names would become equal
 */
export function foreignPrefix(names: readonly string[], isKnown: (name: string) => boolean): string {
  const unknown = names.find(name => !isKnown(name))
  if (unknown === undefined) return ''
  const prefixes = [...unknown.matchAll(/[./]/g)].map(({ index }) => unknown.slice(0, index + 1))
  const explains = (prefix: string) => {
    const shortened = names.map(name => withoutPrefix(name, prefix))
    return shortened.every(isKnown) && new Set(shortened).size === names.length
  }
  return prefixes.find(explains) ?? ''
}

/** A name without a prefix, where it has it. */
export function withoutPrefix(name: string, prefix: string): string {
  return name.startsWith(prefix) ? name.slice(prefix.length) : name
}
