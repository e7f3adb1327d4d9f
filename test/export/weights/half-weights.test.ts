import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { halveWeights } from '../../../src/export/weights/half-weights.js'
import { fileSystem, loadModelFolder } from '../../../src/files/model-files.js'
import { useTestBackend } from '../../backend-under-test.js'
import { networkCases, noise, trained } from '../exported-models.js'
import { difference } from '../run-onnx.js'

beforeAll(async () => {
  await useTestBackend()
})

/** What a model saves. */
async function artifactsOf(model: tf.LayersModel): Promise<tf.io.ModelArtifacts> {
  let saved: tf.io.ModelArtifacts | undefined
  await model.save(
    tf.io.withSaveHandler(async artifacts => {
      saved = artifacts
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } }
    }),
  )
  return saved as tf.io.ModelArtifacts
}

describe('halveWeights', () => {
  test.each([2, 3, 6, 7, 8].map(i => networkCases[i]!))(
    'stores kernels in half the bytes, and routers as they are: $name',
    async ({ build }) => {
      const folder = await mkdtemp(join(tmpdir(), 'pmoe-half-'))
      onTestFinished(() => rm(folder, { recursive: true }))
      const model = trained(build())
      const { artifacts, inFloat } = halveWeights(await artifactsOf(model))
      await fileSystem(folder).save?.(artifacts)
      const loaded = await loadModelFolder(folder)
      const x = noise(model.inputs[0]!.shape, 8, 1)
      const [own, other] = [model, loaded].map(each => each.predict(x) as tf.Tensor) as [tf.Tensor, tf.Tensor]
      expect(difference(own, other.dataSync() as Float32Array)).toBeLessThan(0.005)
      expect(inFloat.map(({ layer }) => layer.split('/').at(-1))).toEqual(['router'])
      const routers = [model, loaded].map(each =>
        each.weights
          .find(({ originalName }) => originalName.endsWith('router'))
          ?.read()
          .dataSync(),
      )
      expect(routers[1]).toEqual(routers[0])
      const { size } = await stat(join(folder, 'weights.bin'))
      expect(size).toBeLessThan(0.65 * 4 * model.countParams())
      loaded.dispose()
    },
  )

  test('leaves what float16 cannot hold, and says so', async () => {
    const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [2], name: 'large' })] })
    model.setWeights([tf.tensor2d([[1], [7e4]]), tf.tensor1d([3])])
    const before = await artifactsOf(model)
    const { artifacts, inFloat } = halveWeights(before)
    expect(inFloat).toEqual([
      { layer: 'large/kernel', why: 'weights beyond 65504, the largest number of float16' },
    ])
    expect(artifacts.weightSpecs).toEqual(before.weightSpecs)
    expect([...new Float32Array(artifacts.weightData as ArrayBuffer)]).toEqual([1, 7e4, 3])
  })
})
