import { deriveSeed, permutation, random } from '../random.js'

/** Images that are read together: consecutive in storage. */
export const blockImages = 64

/**
 * The order in which an epoch visits images that are too many for memory: blocks of {@link blockImages} consecutive
 * images in random order, and over that the images of each window of `shuffleWindow` places in random order.
 *
 * So whole blocks can be read from disk, one window at a time, while images of one batch come from all over the set.
 * With a window of at least `count` every order is equally likely.
 *
 * @param count images in the set
 * @param shuffleWindow images that are in memory at a time, at least 1
 * @param seed and epoch alone decide on the order, so that a resumed run goes on exactly where it stopped
 * @returns the integers 0..count-1
 */
export function windowOrder(
  count: number,
  shuffleWindow: number,
  { seed, epoch }: { readonly seed: number; readonly epoch: number },
): Int32Array {
  const order = blockOrder(count, deriveSeed(seed, `blocks of epoch ${epoch}`))
  const chance = random(seed, `windows of epoch ${epoch}`)
  for (let first = 0; first < count; first += shuffleWindow) {
    const positions = order.slice(first, first + shuffleWindow)
    const shuffled = permutation(positions.length, chance)
    for (let i = 0; i < positions.length; i++) order[first + i] = positions[shuffled[i] as number] as number
  }
  return order
}

function blockOrder(count: number, seed: number): Int32Array {
  const order = new Int32Array(count)
  let filled = 0
  for (const block of permutation(Math.ceil(count / blockImages), random(seed))) {
    const end = Math.min((block + 1) * blockImages, count)
    for (let image = block * blockImages; image < end; image++) order[filled++] = image
  }
  return order
}
