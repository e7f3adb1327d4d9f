import type { ImageSet, PixelSet } from '../../../src/data/image-set.js'
import { type Random, random } from '../../../src/random.js'

/** Side of the box around a scratch, in pixels. */
const BOX = 14

/**
 * Draws woven cloth; every second image has a scratch of about ten pixels, lighter or darker than the cloth.
 *
 * @param count images
 * @param side height and width of an image, in pixels
 * @param seed the same seed gives the same bytes; fewer images are the first of more
 * @returns grey images of the classes `sound` and `scratched`, with the boxes of the scratches; those of sound ones are 0
 */
export function drawDefects(
  count: number,
  side: number,
  seed: number,
): PixelSet & Required<Pick<ImageSet, 'objectBox'>> {
  const images = new Uint8ClampedArray(count * side * side)
  const labels = Int32Array.from({ length: count }, (_, i) => i % 2)
  const objectBox = new Int32Array(4 * count)
  const chance = random(seed, 'defects')
  for (let i = 0; i < count; i++) {
    const image = images.subarray(i * side * side, (i + 1) * side * side)
    weave(image, side, chance)
    // Drawn for sound ones as well, which so take as many random numbers.
    const line = scratch(side, chance)
    if (labels[i] !== 1) continue
    draw(image, side, line)
    objectBox.set([line.y - BOX / 2, line.x - BOX / 2, BOX, BOX].map(Math.round), 4 * i)
  }
  const shape = [side, side, 1] as const
  return {
    images: new Uint8Array(images.buffer),
    labels,
    count,
    shape,
    classNames: ['sound', 'scratched'],
    objectBox,
  }
}

/** Threads across each other, light that falls off to one side, and noise. */
function weave(image: Uint8ClampedArray, side: number, chance: Random): void {
  const [phase, tilt, light] = [
    2 * Math.PI * chance.next(),
    0.1 * (chance.next() - 0.5),
    105 + 40 * chance.next(),
  ]
  const [down, right] = [30 * (chance.next() - 0.5), 30 * (chance.next() - 0.5)]
  for (let y = 0, at = 0; y < side; y++) {
    for (let x = 0; x < side; x++, at++) {
      const threads = Math.sin((x + tilt * y) * 1.05 + phase) * Math.sin((y - tilt * x) * 1.05)
      const noise = chance.next() + chance.next() - 1
      image[at] = light + 22 * threads + (down * y + right * x) / side + 26 * noise
    }
  }
}

interface Scratch {
  readonly x: number
  readonly y: number
  /** In radians. */
  readonly angle: number
  /** What it adds to a pixel in its middle. */
  readonly strength: number
}

function scratch(side: number, chance: Random): Scratch {
  const within = () => 12 + chance.next() * (side - 24)
  const [y, x, angle] = [within(), within(), Math.PI * chance.next()]
  return { x, y, angle, strength: chance.next() < 0.5 ? -42 : 42 }
}

function draw(image: Uint8ClampedArray, side: number, { x, y, angle, strength }: Scratch): void {
  const soft = [
    [0, 0, 1],
    [1, 0, 0.6],
    [0, 1, 0.6],
    [1, 1, 0.4],
  ] as const
  for (let along = -5; along <= 5; along += 0.5) {
    const [top, left] = [Math.round(y + along * Math.sin(angle)), Math.round(x + along * Math.cos(angle))]
    for (const [down, right, share] of soft) {
      const at = (top + down) * side + left + right
      image[at] = (image[at] as number) + share * strength
    }
  }
}
