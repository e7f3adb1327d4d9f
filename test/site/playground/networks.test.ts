import { beforeAll, describe, expect, it } from 'vitest'
import {
  changed,
  initialSetting,
  mostKept,
  type Setting,
  TASKS,
  taskRanges,
} from '../../../site/playground/setting.js'
import { loadNetwork, savedFiles, savedSetting } from '../../../site/playground/worker/model-files.js'
import { layersModel, networkOf } from '../../../site/playground/worker/networks.js'
import { modelCost } from '../../../src/models/cost.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import { useTestBackend } from '../../backend-under-test.js'

beforeAll(useTestBackend)

const classes = { digits: 2, quadrants: 4, defect: 2, own: 3 }

function imagesOf({ task }: Setting) {
  const { side } = taskRanges[task]
  const channels = task === 'quadrants' || task === 'own' ? 3 : 1
  const classNames = Array.from({ length: classes[task] }, (_, label) => `class ${label}`)
  return { shape: [side, side, channels] as const, classNames }
}

/** The settings at the ends of the controls of a task, with each gate. */
function extremes(task: Setting['task']): Setting[] {
  const { patchSizes, gates, numExperts } = taskRanges[task]
  return gates.flatMap(gate =>
    [patchSizes[0]!, patchSizes.at(-1)!].flatMap(patch => {
      const setting = changed(initialSetting(task), { patch, gate })
      const few = { k: numExperts[0]!, l: 1 }
      return [few, { k: numExperts.at(-1)!, l: mostKept(setting) }].map(ends => changed(setting, ends))
    }),
  )
}

describe.each(TASKS)('the networks of %s', task => {
  it('can be built at the ends of all controls', () => {
    const { patchSizes } = taskRanges[task]
    for (const setting of [...extremes(task), changed(initialSetting(task), { patch: patchSizes[1]! })]) {
      const model = layersModel(networkOf('mixture', setting, imagesOf(setting)))
      expect(modelCost(model)).toMatchObject({ uncounted: [] })
      expect(model.outputs[0]?.shape).toEqual([null, classes[task] === 2 ? 1 : classes[task]])
      disposeModel(model)
    }
  })

  it.each(['dense', 'mixture'] as const)('come back from their files: %s', async name => {
    const setting = initialSetting(task, { seed: 7 })
    const images = imagesOf(setting)
    const network = networkOf(name, setting, images)
    const files = await savedFiles(network, setting, images.classNames)
    expect(files.map(file => file.name)).toEqual(['model.json', 'weights.bin'])
    expect(savedSetting(files)).toEqual(setting)
    const loaded = await loadNetwork([...files].reverse(), images)
    expect(loaded.constructor).toBe(network.constructor)
    const numbers = async (of: typeof network) =>
      Promise.all(layersModel(of).weights.map(async weight => [...(await weight.read().data())]))
    expect(await numbers(loaded)).toEqual(await numbers(network))
    for (const one of [network, loaded]) disposeModel(layersModel(one))
  })
})

describe('files that are no network of the task', () => {
  const setting = initialSetting('digits')
  const images = imagesOf(setting)
  const named = (name: string, text: string) => ({ name, bytes: new Uint8Array(Buffer.from(text)) })

  it('are named', async () => {
    const network = networkOf('mixture', setting, images)
    const [model, weights] = (await savedFiles(network, setting, images.classNames)) as [never, never]
    disposeModel(layersModel(network))
    await expect(loadNetwork([weights], images)).rejects.toThrow(
      new Error('Load: files must include model.json, got weights.bin'),
    )
    expect(() => savedSetting([])).toThrow(new Error('Load: files must include model.json, got none'))
    await expect(loadNetwork([model], images)).rejects.toThrow(
      new Error('Load: files must include weights.bin, which model.json names, got model.json'),
    )
    const many = Array.from({ length: 7 }, (_, i) => named(`${i}.png`, ''))
    await expect(loadNetwork(many, images)).rejects.toThrow(
      'got 0.png, 1.png, 2.png, 3.png, 4.png and 2 more',
    )
    await expect(loadNetwork([named('model.json', '{"a":')], images)).rejects.toThrow(/^Load: model\.json/)
    await expect(loadNetwork([model, named('weights.bin', '12')], images)).rejects.toThrow(
      /^Load: model\.json/,
    )
    await expect(loadNetwork([model, weights], imagesOf(initialSetting('quadrants')))).rejects.toThrow(
      new RangeError(
        'Load: network must take images of 32x32x3 and tell 4 classes apart, as this task does, got one for 32x32x1 and 2',
      ),
    )
  })

  it('tell no setting where something else saved them', () => {
    expect(savedSetting([named('model.json', '{"modelTopology":{},"weightsManifest":[]}')])).toBeUndefined()
  })
})
