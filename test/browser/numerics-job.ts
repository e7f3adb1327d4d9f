import { twoLayerPatchModel } from '../../src/models/two-layer.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { predictProbabilities } from '../../src/train/evaluate.js'
import { train } from '../../src/train/loop.js'
import { answersOf, brightQuarters, otherCases, patchMoECases } from '../backend/webgpu/layer-cases.js'

export { useBackend } from '../../src/backend/page/use-backend.js'

/** What a backend computes; the same job in a page and in Node. */
export interface ComputedNumbers {
  /** Of each layer the answers, then its derivatives. */
  readonly layers: number[][][]
  /** Of each training the losses of its steps, and what the network then says of the images. */
  readonly trainings: Readonly<
    Record<'twoLayer' | 'wide', { readonly losses: number[]; readonly says: number[] }>
  >
}

/** Computes with the current backend. */
export async function computedNumbers(): Promise<ComputedNumbers> {
  const layers: number[][][] = []
  // Every seventh has each gate, border, pre-activation and size.
  for (const one of [...patchMoECases.filter((_, i) => i % 7 === 0), ...otherCases])
    layers.push((await answersOf(one)).map(values => [...values]))
  return { layers, trainings: { twoLayer: await trained('twoLayer'), wide: await trained('wide') } }
}

async function trained(kind: 'twoLayer' | 'wide') {
  const shape = kind === 'wide' ? ([8, 8, 3] as const) : ([16, 16, 1] as const)
  const model =
    kind === 'wide'
      ? wideResNet({
          ...{ depth: 10, widenFactor: 1, numClasses: 4, inputShape: shape, seed: 1 },
          pmoe: { numExperts: 4, patchesPerExpert: 2, patchSize: 1 },
        })
      : twoLayerPatchModel({
          ...{ inputShape: shape, numClasses: 4, patchSize: 4, seed: 1 },
          ...{ numExperts: 4, patchesPerExpert: 4, hiddenUnits: 8 },
        })
  const images = brightQuarters(24, [...shape])
  const optimizer = { name: 'momentum', learningRate: 0.05 } as const
  const losses: number[] = []
  const options = { train: images, epochs: 1, batchSize: 8, seed: 3, optimizer }
  for await (const event of train(model, options)) if (event.type === 'step') losses.push(event.loss)
  const says = (await predictProbabilities(model, images.images, shape)).flatMap(row => [...row])
  return { losses, says }
}

/** Milliseconds of each step of a training of a WRN-10-1 with a mixture, on 32x32 images in batches of 16. */
export async function stepTimes(steps: number): Promise<number[]> {
  const model = wideResNet({
    ...{ depth: 10, widenFactor: 1, numClasses: 4, inputShape: [32, 32, 3], seed: 1 },
    pmoe: { numExperts: 4, patchesPerExpert: 16, patchSize: 1 },
  })
  const optimizer = { name: 'momentum', learningRate: 0.01 } as const
  const options = {
    train: brightQuarters(16 * steps, [32, 32, 3]),
    epochs: 1,
    batchSize: 16,
    seed: 1,
    optimizer,
  }
  const times: number[] = []
  let began = performance.now()
  for await (const { type } of train(model, options)) {
    if (type !== 'step') continue
    times.push(performance.now() - began)
    began = performance.now()
  }
  return times
}
