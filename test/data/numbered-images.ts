import type { PixelSet } from '../../src/data/image-set.js'

/**
 * Images that tell their number: every byte of image i is i modulo 256, its label is i modulo the classes, its group
 * the label in the first half of the images and the class after it in the second.
 */
export function numberedImages(count: number, classes = 3, shape: PixelSet['shape'] = [2, 2, 3]): PixelSet {
  const bytes = shape[0] * shape[1] * shape[2]
  const names = Array.from({ length: classes }, (_, label) => `class ${label}`)
  return {
    images: Uint8Array.from({ length: count * bytes }, (_, i) => Math.floor(i / bytes)),
    labels: Int32Array.from({ length: count }, (_, i) => i % classes),
    groups: Int32Array.from({ length: count }, (_, i) => (i < count / 2 ? i : i + 1) % classes),
    count,
    shape,
    classNames: names,
    groupNames: names.map(name => `group of ${name}`),
  }
}
