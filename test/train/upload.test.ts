import { beforeAll, describe, expect, it } from 'vitest'
import { checkFits, checkImageShape, upload } from '../../src/train/upload.js'
import { useTestBackend } from '../backend-under-test.js'
import { brightRows, denseModel } from './tasks.js'

beforeAll(() => useTestBackend())

describe('upload', () => {
  it('scales bytes to [0, 1] and keeps their order', () => {
    const x = upload(Uint8Array.of(0, 51, 102, 255), [1, 2, 1])
    expect(x.shape).toEqual([2, 1, 2, 1])
    const values = [...x.dataSync()]
    expect(values[0]).toBe(0)
    expect(values[1]).toBeCloseTo(0.2, 7)
    expect(values[2]).toBeCloseTo(0.4, 7)
    expect(values[3]).toBe(1)
    x.dispose()
  })
})

describe('checkFits', () => {
  const model = () => denseModel({ outputs: 3 })
  const set = brightRows(6, 3, 1)

  it('accepts images and classes of the model', () => {
    expect(() => checkFits(model(), 3, set, 'train: test set')).not.toThrow()
  })

  it('refuses an empty set', () => {
    expect(() => checkFits(model(), 3, { ...set, count: 0 }, 'train: test set')).toThrow(
      'train: test set must hold at least 1 image, got 0',
    )
  })

  it('refuses arrays of other lengths', () => {
    expect(() => checkFits(model(), 3, { ...set, images: set.images.subarray(1) }, 'x')).toThrow(
      'x must hold 96 pixels (6 images of [4, 4, 1]), got 95',
    )
    expect(() => checkFits(model(), 3, { ...set, labels: set.labels.subarray(1) }, 'x')).toThrow(
      'x must hold 6 labels, got 5',
    )
  })

  it('refuses other classes and labels outside them', () => {
    expect(() => checkFits(model(), 4, set, 'x')).toThrow(
      "x must have the model's 4 classes, got 3 (row 0, row 1, row 2)",
    )
    const labels = Int32Array.of(0, 1, 2, 3, 0, 1)
    expect(() => checkFits(model(), 3, { ...set, labels }, 'x')).toThrow(
      'x must have labels in [0, 2], got 3 (image 3)',
    )
  })

  it('refuses images of another shape', () => {
    expect(() => checkImageShape(model(), [4, 4, 3], 'x')).toThrow(
      "x must fit the model's input [4, 4, 1], got images of [4, 4, 3]",
    )
  })
})
