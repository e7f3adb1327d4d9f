/** A file, and how many operations of each kind it has. */
export interface ExportedBytes {
  readonly bytes: Uint8Array
  readonly operations: Readonly<Record<string, number>>
}

/** The largest message of protobuf, in bytes. */
const LARGEST_MESSAGE = 2 ** 31 - 1

/**
 * Checks that the weights of a model fit into one message of protobuf.
 *
 * @throws RangeError when they exceed 2 GiB
 */
export function checkSize(where: string, model: { readonly name: string; countParams(): number }): void {
  const size = model.countParams() * Float32Array.BYTES_PER_ELEMENT
  if (size <= LARGEST_MESSAGE) return
  throw new RangeError(
    `${where}: weights must take at most ${LARGEST_MESSAGE} bytes, got ${size} (${model.name})`,
  )
}

/** How often each name occurs, in alphabetical order. */
export function countKinds(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of [...names].sort()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}
