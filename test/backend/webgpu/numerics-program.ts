import { trainingChecks } from '../../../src/backend/checks/training-checks.js'
import { useBackend } from '../../../src/backend/choose.js'
import { verifyCurrent } from '../../../src/backend/verify.js'
import { twoLayerPatchModel } from '../../../src/models/two-layer.js'
import { wideResNet } from '../../../src/models/wide-resnet.js'
import { train } from '../../../src/train/loop.js'
import { distance } from './distance.js'
import { answersOf, brightQuarters, otherCases, patchMoECases } from './layer-cases.js'

/*
 * Compares WebGPU in software with plain JavaScript and prints, as JSON, which operations of training are wrong (convolutions,
 * which take minutes, are left to `pmoe doctor --verify`), how far the answers and derivatives of each layer are apart, as a
 * share of the largest number of their tensor, the losses of two short trainings on both, and whether a second training on WebGPU
 * ends with the same bits.
 */
type Name = 'cpu' | 'webgpu-software'

/** The losses of a short training, and the bits of its weights at the end. */
interface Training {
  readonly losses: readonly number[]
  readonly weights: string
}

async function trained(backend: Name, kind: 'two-layer' | 'wide'): Promise<Training> {
  await useBackend(backend)
  const model =
    kind === 'two-layer'
      ? twoLayerPatchModel({
          inputShape: [16, 16, 1],
          numClasses: 4,
          patchSize: 4,
          numExperts: 4,
          patchesPerExpert: 4,
          hiddenUnits: 8,
          seed: 1,
        })
      : wideResNet({
          depth: 10,
          widenFactor: 1,
          numClasses: 4,
          inputShape: [8, 8, 3],
          seed: 1,
          pmoe: { numExperts: 4, patchesPerExpert: 2, patchSize: 1 },
        })
  const images = brightQuarters(16, kind === 'two-layer' ? [16, 16, 1] : [8, 8, 3])
  const optimizer = { name: 'momentum', learningRate: 0.05 } as const
  const steps: number[] = []
  const options = { train: images, epochs: 1, batchSize: kind === 'two-layer' ? 4 : 8, seed: 3, optimizer }
  for await (const event of train(model, options)) if (event.type === 'step') steps.push(event.loss)
  const bytes = await Promise.all(
    model.weights.map(async weight =>
      Buffer.from(((await weight.read().data()) as Float32Array).slice().buffer),
    ),
  )
  return { losses: steps, weights: Buffer.concat(bytes).toString('base64') }
}

// Every seventh has each gate, border, pre-activation and size.
const cases = [...patchMoECases.filter((_, i) => i % 7 === 0), ...otherCases]
const layers: Record<string, number> = {}
for (const one of cases) {
  await useBackend('cpu')
  const should = await answersOf(one)
  await useBackend('webgpu-software')
  const are = await answersOf(one)
  layers[one.name] = distance(are, should)
}
await useBackend('webgpu-software')
const { operations } = await verifyCurrent('webgpu-software', '', trainingChecks())
const trainings: Record<string, Record<Name, readonly number[]> & { readonly isRepeatable: boolean }> = {}
for (const kind of ['two-layer', 'wide'] as const) {
  const [right, first, second] = [
    await trained('cpu', kind),
    await trained('webgpu-software', kind),
    await trained('webgpu-software', kind),
  ]
  trainings[kind] = {
    cpu: right.losses,
    'webgpu-software': first.losses,
    isRepeatable: first.weights === second.weights && first.losses.join() === second.losses.join(),
  }
}
console.log(JSON.stringify({ layers, operations, trainings }))
