import { describe, expect, test } from 'vitest'
import type { Augmentation } from '../../../src/data/augmentation/augmentation.js'
import { augmented } from '../../../src/data/augmentation/augmented.js'
import type { ImageBatch, ImageSet } from '../../../src/data/image-set.js'
import { type ImageStream, type StreamPass, streamOf } from '../../../src/data/image-stream.js'
import { augmentedAhead } from '../../../src/files/augmentation/augmented-ahead.js'
import { random } from '../../../src/random.js'

const count = 50
const chance = random(1)
const set: ImageSet = {
  images: Uint8Array.from({ length: count * 8 * 6 * 3 }, () => chance.below(256)),
  labels: Int32Array.from({ length: count }, (_, i) => i % 3),
  groups: Int32Array.from({ length: count }, (_, i) => i % 2),
  count,
  shape: [8, 6, 3],
  classNames: ['a', 'b', 'c'],
  groupNames: ['even', 'odd'],
}
const strong: Augmentation = {
  randomCrop: 0.3,
  flip: true,
  padCrop: 2,
  trivialAugment: true,
  blur: 0.5,
  erase: 0.5,
  mixup: 0.4,
  cutmix: 1,
  seed: 5,
}
const shuffle = { seed: 2, epoch: 3 }

async function batchesOf(stream: ImageStream, pass: StreamPass): Promise<ImageBatch[]> {
  const all: ImageBatch[] = []
  for await (const batch of stream.batches(pass)) all.push(batch)
  return all
}

/** A stream that tells what was asked of it, and fails at a batch. */
function watched(failAt = Number.POSITIVE_INFINITY) {
  const asked = { batches: 0, hasEnded: false }
  const stream: ImageStream = {
    ...streamOf(set),
    async *batches(pass) {
      try {
        for await (const batch of streamOf(set).batches(pass)) {
          if (asked.batches === failAt) throw new RangeError(`image 3 must be readable, got batch ${failAt}`)
          asked.batches++
          yield batch
        }
      } finally {
        asked.hasEnded = true
      }
    },
  }
  return { stream, asked }
}

describe('augmentedAhead', () => {
  test.each([0, 1, 2, 3])('with %d threads yields what augmented yields', async workers => {
    const expected = augmented(streamOf(set), strong)
    const stream = augmentedAhead(streamOf(set), strong, { workers, ahead: 3 })
    for (const pass of [
      { batchSize: 8, shuffle },
      { batchSize: 8, shuffle, start: 16, end: 45 },
      { batchSize: 64, shuffle: { seed: 2, epoch: 0 } },
      { batchSize: 8 },
    ]) {
      expect(await batchesOf(stream, pass)).toEqual(await batchesOf(expected, pass))
    }
  })

  test('reads no more than it was told ahead, and lets go of a pass that ends early', async () => {
    const { stream, asked } = watched()
    const ahead = augmentedAhead(stream, strong, { ahead: 2 })
    for await (const batch of ahead.batches({ batchSize: 5, shuffle })) {
      expect(batch.count).toBe(5)
      break
    }
    expect(asked).toEqual({ batches: 2, hasEnded: true })
    // The same threads serve the next pass.
    expect((await batchesOf(ahead, { batchSize: 25, shuffle })).length).toBe(2)
  })

  test('leaves the images of the stream as they are', async () => {
    const before = set.images.slice()
    const whole: ImageStream = {
      ...streamOf(set),
      // Hands out memory that it goes on using.
      async *batches() {
        yield { images: set.images, labels: set.labels, count }
      },
    }
    await batchesOf(augmentedAhead(whole, strong), { batchSize: count, shuffle })
    expect(set.images).toEqual(before)
    expect(set.labels.length).toBe(count)
  })

  test('throws what the stream throws, after the batches before it', async () => {
    const { stream } = watched(2)
    const seen: number[] = []
    const pass = async () => {
      for await (const batch of augmentedAhead(stream, strong).batches({ batchSize: 8, shuffle })) {
        seen.push(batch.count)
      }
    }
    await expect(pass()).rejects.toThrow(new RangeError('image 3 must be readable, got batch 2'))
    expect(seen).toEqual([8, 8])
  })

  test('throws what a thread throws', async () => {
    const floats = streamOf({ ...set, images: Float32Array.from(set.images) })
    await expect(
      batchesOf(augmentedAhead(floats, { grey: 1, seed: 1 }), { batchSize: 8, shuffle }),
    ).rejects.toThrow(new RangeError('augmented: grey must be used with pixels 0..255, got floats'))
  })

  test('is the stream itself where nothing is asked for', () => {
    const stream = streamOf(set)
    expect(augmentedAhead(stream, { seed: 1 })).toBe(stream)
  })

  test.each([
    [{ workers: -1 }, 'workers must be an integer of at least 0, got -1'],
    [{ workers: 1.5 }, 'workers must be an integer of at least 0, got 1.5'],
    [{ ahead: 0 }, 'ahead must be an integer of at least 1, got 0'],
  ])('refuses %j', (options, message) => {
    expect(() => augmentedAhead(streamOf(set), strong, options)).toThrow(
      new RangeError(`augmentedAhead: ${message}`),
    )
    expect(() => augmentedAhead(streamOf(set), { rotate: 200, seed: 1 })).toThrow(
      'augmented: rotate must be in [0, 180], got 200',
    )
  })
})
