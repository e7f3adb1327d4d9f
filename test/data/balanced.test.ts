import { describe, expect, test } from 'vitest'
import { balanced } from '../../src/data/balanced.js'
import { recordsOf } from '../../src/data/image-records.js'
import type { ImageSet } from '../../src/data/image-set.js'
import type { ImageStream, StreamPass } from '../../src/data/image-stream.js'
import { numberedImages } from './numbered-images.js'

/** 90 images of class 0, 8 of class 1, 2 of class 2; the groups are the other way round. */
const labels = Int32Array.from({ length: 100 }, (_, i) => (i < 90 ? 0 : i < 98 ? 1 : 2))
const uneven: ImageSet = { ...numberedImages(100), labels, groups: labels.map(label => 2 - label) }

async function orderOf(stream: ImageStream, pass: StreamPass): Promise<number[]> {
  const numbers: number[] = []
  for await (const { images, count } of stream.batches(pass)) {
    for (let i = 0; i < count; i++) numbers.push(images[i * 12] as number)
  }
  return numbers
}

const pass = { batchSize: 16, shuffle: { seed: 5, epoch: 0 } }
const classesIn = (order: readonly number[]) =>
  [0, 1, 2].map(label => order.filter(image => labels[image] === label).length)

describe('balanced', () => {
  test('gives every class a third of an epoch, and of every stretch of it', async () => {
    const order = await orderOf(balanced(uneven, { by: 'class' }), pass)
    expect(order).toHaveLength(100)
    expect(classesIn(order.slice(0, 99))).toEqual([33, 33, 33])
    for (let first = 0; first < 99; first += 3) {
      expect(classesIn(order.slice(first, first + 3))).toEqual([1, 1, 1])
    }
  })

  test('uses the images of a small class equally often, of a large one at most once', async () => {
    const order = await orderOf(balanced(uneven, { by: 'class' }), pass)
    const times = (image: number) => order.filter(other => other === image).length
    // 33 or 34 draws: of 8 images 4 or 5 each, of 2 images 16 to 17 each.
    for (let image = 0; image < 90; image++) expect(times(image)).toBeLessThanOrEqual(1)
    for (let image = 90; image < 98; image++) expect([4, 5]).toContain(times(image))
    for (let image = 98; image < 100; image++) expect([16, 17]).toContain(times(image))
  })

  test('is a function of seed and epoch, and goes on exactly', async () => {
    const stream = balanced(recordsOf(uneven), { by: 'group', shuffleWindow: 9 })
    const whole = await orderOf(stream, pass)
    expect(await orderOf(stream, pass)).toEqual(whole)
    expect(await orderOf(stream, { ...pass, start: 37 })).toEqual(whole.slice(37))
    expect(await orderOf(stream, { ...pass, shuffle: { seed: 5, epoch: 1 } })).not.toEqual(whole)
    expect(await orderOf(stream, { ...pass, shuffle: { seed: 6, epoch: 0 } })).not.toEqual(whole)
  })

  test('leaves a pass without shuffle in the stored order', async () => {
    expect(await orderOf(balanced(uneven, { by: 'class' }), { batchSize: 30 })).toEqual(
      Array.from({ length: 100 }, (_, i) => i),
    )
  })

  test('refuses a part without images, and groups where there are none', () => {
    const without = { ...uneven, labels: labels.map(label => Math.min(label, 1)) }
    expect(() => balanced(without, { by: 'class' })).toThrow(
      'balanced: class 2 "class 2" must have at least 1 image, got 0 (of 100)',
    )
    const { groups: _, groupNames: __, ...plain } = uneven
    expect(() => balanced(plain, { by: 'group' })).toThrow(
      'balanced: images must have groups to be balanced by them, got images without',
    )
  })
})
