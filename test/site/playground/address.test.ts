import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressOf, settingOf } from '../../../site/playground/address.js'
import {
  BACKENDS,
  changed,
  initialSetting,
  mostKept,
  type Setting,
  TASKS,
  taskRanges,
} from '../../../site/playground/setting.js'

/** Any setting that the controls can make. */
const settings: fc.Arbitrary<Setting> = fc.constantFrom(...TASKS).chain(task => {
  const { numExperts, patchSizes, gates, images, separateExperts } = taskRanges[task]
  return fc
    .record({
      k: fc.constantFrom(...numExperts),
      l: fc.integer({ min: 1, max: taskRanges[task].mostKept }),
      patch: fc.constantFrom(...patchSizes),
      gate: fc.constantFrom(...gates),
      n: fc.constantFrom(...images),
      seed: fc.integer({ min: 0, max: 999_999 }),
      backend: fc.constantFrom(...BACKENDS),
      isSeparate: fc.boolean(),
    })
    .map(({ isSeparate, ...parts }) => {
      const setting = changed(initialSetting(task), parts)
      return isSeparate && separateExperts !== undefined ? changed(setting, { routers: 'separate' }) : setting
    })
})

describe('the address of a setting', () => {
  it('brings back every setting, with `#` and without', () => {
    fc.assert(
      fc.property(settings, setting => {
        expect(settingOf(`#${addressOf(setting)}`)).toEqual({ setting, notes: [] })
        expect(settingOf(addressOf(setting)).setting).toEqual(setting)
      }),
    )
  })

  it('takes what a task begins with for what is missing', () => {
    expect(settingOf('')).toEqual({ setting: initialSetting('digits'), notes: [] })
    expect(settingOf('#task=quadrants&l=3').setting).toEqual({ ...initialSetting('quadrants'), l: 3 })
  })

  it('says what could not be used', () => {
    const { setting, notes } = settingOf(
      '#task=digits&k=99&l=17&patch=16&gate=<b>&routers=never&n=1e3&seed=-1&backend=cuda',
    )
    expect(setting).toEqual({ ...initialSetting('digits'), patch: 16, l: 4 })
    expect(notes).toEqual([
      'k must be 1, 2, 4, 5, 8, 10 or 20, got "99": 8 is used',
      'l must be an integer from 1 to 4, got "17": 4 is used',
      'gate must be softmax-selected, softmax-all or uniform, got "<b>": softmax-selected is used',
      'n must be 100, 200, 300, 500 or 1000, got "1e3": 500 is used',
      'seed must be an integer from 0 to 999999, got "-1": 1 is used',
      'backend must be auto, webgpu, webgl, wasm, webgpu-software or webgl-software, got "cuda": auto is used',
      'routers must be joint or separate, got "never": joint is used',
    ])
    expect(settingOf(`task=${'x'.repeat(500)}`).notes).toEqual([
      `task must be digits, quadrants, defect or own, got "${'x'.repeat(40)}...": digits is used`,
    ])
    expect(settingOf('task=quadrants&k=8&routers=separate')).toEqual({
      setting: { ...initialSetting('quadrants'), k: 4, routers: 'separate' },
      notes: ['k must be 4 where routers are trained separately, got 8: 4 is used'],
    })
  })
})

describe('a change of a setting', () => {
  it('leaves one that a network can have', () => {
    fc.assert(
      fc.property(settings, settings, (setting, other) => {
        const { task, ...parts } = other
        const next = changed(setting, setting.task === task ? parts : { task })
        expect(next.l).toBeLessThanOrEqual(mostKept(next))
        const { numExperts, patchSizes, separateExperts } = taskRanges[next.task]
        expect(numExperts).toContain(next.k)
        expect(patchSizes).toContain(next.patch)
        if (next.routers === 'separate') expect(next.k).toBe(separateExperts)
      }),
    )
  })

  it('keeps fewer patches of fewer, and ends separate training for another number of experts', () => {
    const digits = initialSetting('digits')
    expect(changed(digits, { patch: 16 })).toMatchObject({ patch: 16, l: 4 })
    const separate = changed(digits, { routers: 'separate' })
    expect(separate).toMatchObject({ routers: 'separate', k: 2 })
    expect(changed(separate, { k: 4 })).toMatchObject({ routers: 'joint', k: 4 })
    expect(changed(initialSetting('own'), { routers: 'separate' })).toMatchObject({ routers: 'joint' })
  })
})
