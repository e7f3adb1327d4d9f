import { describe, expect, test } from 'vitest'
import {
  askedAugmentation,
  augmentationFlags,
  withoutAugmentation,
} from '../../../scripts/run/augmentation/asked-augmentation.js'
import { datasetEntry } from '../../../src/data/datasets/datasets.js'

const photographs = datasetEntry('image-folder')
const digits = datasetEntry('digits-patches')

describe('askedAugmentation', () => {
  test('is nothing unless asked for', () => {
    expect(askedAugmentation({}, photographs)).toEqual({ variations: {}, notes: [] })
    expect(askedAugmentation({ augment: 'none', workers: 2 }, photographs).variations).toEqual({})
  })

  test('is the named augmentation, changed by single settings', () => {
    const asked = { augment: 'light', flip: false, randomCrop: 0, rotate: 15 } as const
    expect(askedAugmentation(asked, photographs, ['cat', 'dog'])).toEqual({
      variations: {
        flip: false,
        randomCrop: 0,
        rotate: 15,
        jitter: { brightness: 0.2, contrast: 0.2, saturation: 0.2 },
      },
      notes: [],
    })
  })

  test('says once what a dataset forbids: left out by name, done where it is asked for itself', () => {
    const { variations, notes } = askedAugmentation({ augment: 'light', rotate: 90 }, digits)
    expect(variations).toEqual({
      rotate: 90,
      jitter: { brightness: 0.2, contrast: 0.2, saturation: 0.2 },
    })
    expect(notes).toEqual([
      '--augment light leaves out for digits-patches: --random-crop (what decides the class may be cut off), ' +
        '--flip (mirrored, a thing is another or none)',
      'May change what images of digits-patches show: --rotate (turned far, a thing is another or none)',
    ])
    expect(askedAugmentation({ augment: 'light', flip: true, randomCrop: 0 }, digits).notes).toEqual([
      'May change what images of digits-patches show: --flip (mirrored, a thing is another or none)',
    ])
  })

  test('puts nothing in the place of a policy that is asked for itself, or not wanted', () => {
    const ofStrong = (others: object) =>
      Object.keys(askedAugmentation({ augment: 'strong', ...others }, digits).variations)
    expect(ofStrong({})).toEqual(['randAugment'])
    expect(ofStrong({ trivialAugment: true })).toEqual(['trivialAugment'])
    expect(ofStrong({ trivialAugment: false })).toEqual(['trivialAugment'])
    expect(ofStrong({ trivialAugment: false, randAugment: { operations: 1, magnitude: 3 } })).toEqual([
      'trivialAugment',
      'randAugment',
    ])
  })

  test('takes a folder whose classes are digits for one of digits', () => {
    const flip = { flip: true } as const
    expect(askedAugmentation(flip, photographs, ['0', '1', '7']).notes).toEqual([
      'May change what images of image-folder show: --flip (mirrored, a thing is another or none)',
    ])
    expect(askedAugmentation(flip, photographs, ['0', '1', 'cat']).notes).toEqual([])
    expect(askedAugmentation(flip, photographs, ['10', '11']).notes).toEqual([])
  })

  test('refuses to vary the colours of floats, and says what they can have', () => {
    const floats = datasetEntry('theory-clusters')
    const others =
      '--flip, --pad-crop, --random-crop, --vertical-flip, --rotate, --blur, --erase, --mixup, --cutmix take them'
    expect(() => askedAugmentation({ grey: 0.1 }, floats)).toThrow(
      new RangeError(
        `--grey must be used with pixels, got theory-clusters, whose values are floats (${others})`,
      ),
    )
    expect(() => askedAugmentation({ augment: 'strong' }, floats)).toThrow(
      '--augment strong must be used with pixels, got theory-clusters',
    )
    expect(askedAugmentation({ erase: 0.1, jitter: {}, grey: 0 }, floats).variations).toEqual({
      erase: 0.1,
      jitter: {},
      grey: 0,
    })
  })
})

describe('withoutAugmentation', () => {
  test('leaves what chooses the images', () => {
    const plain = { name: 'cifar10', data: null, samples: 10, testSamples: null, balance: 'class' } as const
    expect(
      withoutAugmentation({ ...plain, flip: true, augment: 'strong', mixup: 0.2, workers: 3, padCrop: 2 }),
    ).toEqual(plain)
  })
})

describe('augmentationFlags', () => {
  test('are those that ask for the same, without what is off', () => {
    const variations = {
      flip: true,
      verticalFlip: false,
      rotate: 15,
      jitter: { brightness: 0.2, hue: 0.1 },
      randAugment: { operations: 2, magnitude: 9 },
      erase: 0,
    }
    expect(augmentationFlags(variations)).toEqual([
      '--flip',
      '--rotate 15',
      '--rand-augment 2:9',
      '--jitter brightness=0.2,hue=0.1',
    ])
  })
})
