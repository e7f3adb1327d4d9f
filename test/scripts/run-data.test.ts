import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkSettings, type DataRequest, datasetOptions } from '../../scripts/run/run-data.js'
import { datasetEntry } from '../../src/data/datasets/datasets.js'

const request: DataRequest = { name: 'cifar10', data: null, samples: null, testSamples: null }

describe('datasetOptions', () => {
  test('hands on what is set and nothing else', () => {
    expect(datasetOptions(request, 3)).toMatchObject({ seed: 3 })
    expect(datasetOptions(request, 3)).not.toHaveProperty('samples')
    const options = datasetOptions(
      {
        ...request,
        samples: 10,
        testSamples: 4,
        imageSize: [64, 48],
        crop: 'center148',
        gridSide: 3,
        targets: [0],
        distractors: [1, 2],
        backgrounds: resolve('samples'),
      },
      3,
    )
    expect(options).toMatchObject({
      seed: 3,
      samples: 10,
      testSamples: 4,
      imageSize: [64, 48],
      crop: 'center148',
      gridSide: 3,
      targets: [0],
      distractors: [1, 2],
    })
    expect(options.backgrounds?.describe('')).toBe(resolve('samples'))
  })
})

describe('checkSettings', () => {
  test('refuses a setting that the dataset does not have', () => {
    const entry = datasetEntry('cifar10')
    expect(() => checkSettings(entry, request)).not.toThrow()
    expect(() => checkSettings(entry, { ...request, crop: 'none' })).toThrow(
      /^--crop must be used with .*, got dataset cifar10$/,
    )
    const taker = { ...entry, settings: ['crop'] as const }
    expect(() => checkSettings(taker, { ...request, crop: 'none' })).not.toThrow()
  })
})
