/** Which numbers along the last axis of a tensor are left; a tensor that keeps all has none of these. */
export interface Channels {
  /** How many there were. */
  readonly size: number
  /** Those that are left, ascending. */
  readonly kept: readonly number[]
  /** Path of the mixture whose experts go, for errors. */
  readonly source: string
}

/** The integers 0..count-1. */
export function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => i)
}

/** Those of 0..count-1 that are not among the given ones. */
export function othersThan(numbers: readonly number[], count: number): readonly number[] {
  const given = new Set(numbers)
  return range(count).filter(number => !given.has(number))
}

/** The numbers that some of several equal blocks hold: block s holds [s size, (s+1) size). */
export function numbersOfBlocks(blocks: readonly number[], size: number): readonly number[] {
  return blocks.flatMap(block => range(size).map(i => block * size + i))
}

/** The channels after each became several, side by side. */
export function multiplied({ size, kept, source }: Channels, times: number): Channels {
  return { size: size * times, kept: numbersOfBlocks(kept, times), source }
}

/** The numbers after channels last were laid out in one row: channel c of position q becomes number q C + c. */
export function flattened({ size, kept, source }: Channels, positions: number): Channels {
  return {
    size: positions * size,
    kept: range(positions).flatMap(position => kept.map(channel => position * size + channel)),
    source,
  }
}

/** The channels of several tensors side by side; undefined where all keep all. */
export function sideBySideChannels(
  parts: readonly (Channels | undefined)[],
  sizes: readonly number[],
): Channels | undefined {
  const source = parts.find(part => part !== undefined)?.source
  if (source === undefined) return undefined
  let offset = 0
  const kept: number[] = []
  for (const [i, size] of sizes.entries()) {
    for (const channel of parts[i]?.kept ?? range(size)) kept.push(offset + channel)
    offset += size
  }
  return { size: offset, kept, source }
}

/** Whether two tensors keep the same of equally many channels. */
export function sameChannels(a: Channels | undefined, b: Channels | undefined): boolean {
  return a?.size === b?.size && String(a?.kept) === String(b?.kept)
}
