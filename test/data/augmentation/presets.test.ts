import { describe, expect, test } from 'vitest'
import { forbiddenOptions, presetVariations } from '../../../src/data/augmentation/presets.js'

describe('presetVariations', () => {
  test('are what they were: resumed runs go on with them', () => {
    const jitter = { brightness: 0.2, contrast: 0.2, saturation: 0.2 }
    expect(presetVariations('none')).toEqual({ variations: {}, leftOut: [] })
    expect(presetVariations('light').variations).toEqual({ randomCrop: 0.6, flip: true, jitter })
    expect(presetVariations('strong').variations).toEqual({
      randomCrop: 0.25,
      flip: true,
      trivialAugment: true,
      erase: 0.25,
    })
  })

  test('leave out what a task forbids, and turn little where turning is forbidden', () => {
    expect(presetVariations('strong', ['mirroring', 'turning'])).toEqual({
      variations: { randomCrop: 0.25, erase: 0.25, randAugment: { operations: 2, magnitude: 9 } },
      leftOut: [
        { option: 'flip', bound: 'mirroring' },
        { option: 'trivialAugment', bound: 'turning' },
      ],
    })
    expect(Object.keys(presetVariations('light', ['cutting']).variations)).toEqual(['flip', 'jitter'])
  })
})

describe('forbiddenOptions', () => {
  test('are those that are on', () => {
    const all = { flip: true, verticalFlip: true, rotate: 45, erase: 0.1, cutmix: 1, mixup: 1, blur: 1 }
    expect(forbiddenOptions(all, ['mirroring', 'turning', 'cutting'])).toEqual([
      { option: 'flip', bound: 'mirroring' },
      { option: 'verticalFlip', bound: 'mirroring' },
      { option: 'rotate', bound: 'turning' },
      { option: 'erase', bound: 'cutting' },
      { option: 'cutmix', bound: 'cutting' },
    ])
    expect(
      forbiddenOptions({ flip: false, rotate: 30, erase: 0 }, ['mirroring', 'turning', 'cutting']),
    ).toEqual([])
    expect(forbiddenOptions(all, [])).toEqual([])
  })
})
