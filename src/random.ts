/**
 * Seeded random numbers: the only source of chance in the project, so that one seed gives one result.
 */

/** A stream of random numbers with a state that can be stored. */
export interface Random {
  /** The next number, uniform on [0, 1), with 32 random bits. */
  next(): number
  /** The next integer, uniform on [0, bound). */
  below(bound: number): number
  /** The next number of N(0, 1). */
  normal(): number
}

/**
 * Creates a stream of random numbers (sfc32, seeded through splitmix32).
 *
 * @param seed any number; its value modulo 2^32 counts
 * @param purpose names what the numbers are for, so that one seed serves several independent streams
 */
export function random(seed: number, purpose = ''): Random {
  const mix = splitmix32(deriveSeed(seed, purpose))
  let a = mix()
  let b = mix()
  let c = mix()
  let counter = 1
  const bits = (): number => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    return sum >>> 0
  }
  for (let warmUp = 0; warmUp < 12; warmUp++) bits()
  const next = (): number => bits() / 2 ** 32
  return {
    next,
    below: bound => Math.floor(next() * bound),
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  }
}

/**
 * Derives the seed of a part from the seed of the whole, so that parts do not share random numbers.
 *
 * @returns an unsigned 32-bit integer
 */
export function deriveSeed(seed: number, purpose: string): number {
  let hash = (seed ^ 0x811c9dc5) >>> 0
  for (let i = 0; i < purpose.length; i++) hash = Math.imul(hash ^ purpose.charCodeAt(i), 0x01000193) >>> 0
  return splitmix32(hash)()
}

/** The integers 0..count-1 in random order (Fisher-Yates). */
export function permutation(count: number, source: Random): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i--) {
    const j = source.below(i + 1)
    const swapped = order[i] as number
    order[i] = order[j] as number
    order[j] = swapped
  }
  return order
}

function splitmix32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let z = state
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
}
