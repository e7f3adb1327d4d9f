/** Which expert of a network one is, where experts of that network were pruned. */
export interface NamedExpert {
  /** What it was called before: its number from 0, or a name of its own; absent where its position says it. */
  readonly name?: string
  /** The layer that it is in, where experts of several layers have the same name. */
  readonly layer?: string
}

/**
 * What people call an expert: `expert 3`, counted from 1 as it was before experts were pruned, or `expert 3 of patch_moe`.
 *
 * @param position from 0 among the experts that are left
 */
export function expertTitle(expert: NamedExpert | undefined, position: number): string {
  const { name = String(position), layer } = expert ?? {}
  const number = /^\d+$/.test(name) ? String(Number(name) + 1) : name
  return layer === undefined ? `expert ${number}` : `expert ${number} of ${layer}`
}
