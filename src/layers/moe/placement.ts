/** Where the channels of a mixture's experts lie in its map, viewed as rows of F channels. */
export interface Placement {
  /** F, channels of one expert. */
  readonly size: number
  /** Rows of F channels in a pixel of the map. */
  readonly slots: number
  /** (K) the row of each expert; rows of no expert are 0. */
  readonly slotOf: readonly number[]
}

/** Experts side by side: expert s owns channels [s F, (s+1) F). */
export function sideBySide(numExperts: number, size: number): Placement {
  return { size, slots: numExperts, slotOf: Array.from({ length: numExperts }, (_, expert) => expert) }
}

/**
 * Reads the channels that experts own in a map that has more.
 *
 * @param channels the channels of all experts, expert by expert: F consecutive ones each, from a multiple of F on
 * @param filters channels of the map
 * @param where the caller and the name of the option
 * @throws RangeError when they are no such channels of the map
 */
export function placementOf(
  channels: readonly number[],
  numExperts: number,
  filters: number,
  where: string,
): Placement {
  const size = channels.length / numExperts
  const slotOf = Array.from({ length: numExperts }, (_, expert) => (channels[expert * size] as number) / size)
  const isPlaced =
    Number.isInteger(size) &&
    size > 0 &&
    filters % size === 0 &&
    slotOf.every(slot => Number.isInteger(slot) && slot >= 0 && slot < filters / size) &&
    channels.every(
      (channel, i) => channel === (slotOf[Math.floor(i / size)] as number) * size + (i % size),
    ) &&
    new Set(slotOf).size === numExperts
  if (isPlaced) return { size, slots: filters / size, slotOf }
  throw new RangeError(
    `${where} must be channels of the map's ${filters}, for each of ${numExperts} experts as many consecutive ones ` +
      `(F, from a multiple of F on), got ${JSON.stringify(channels)}`,
  )
}

/** The channels of all experts, expert by expert. */
export function placedChannels({ size, slotOf }: Placement): readonly number[] {
  return slotOf.flatMap(slot => Array.from({ length: size }, (_, i) => slot * size + i))
}
