import { trainingChecks } from '../../../src/backend/checks/training-checks.js'
import { useBackend } from '../../../src/backend/choose.js'
import { verifyCurrent } from '../../../src/backend/verify.js'
import { twoLayerPatchModel } from '../../../src/models/two-layer.js'
import { wideResNet } from '../../../src/models/wide-resnet.js'
import { train } from '../../../src/train/loop.js'
import { answersOf, brightQuarters, otherCases, patchMoECases } from './layer-cases.js'

/*
 * Compares WebGPU in software with plain JavaScript and prints, as JSON, which operations of training are wrong (convolutions,
 * which take minutes, are left to `pmoe doctor --verify`), how far the answers and derivatives of each layer are apart, as a
 * share of the largest number of their tensor, and the losses of two short trainings on both.
 */
type Name = 'cpu' | 'webgpu-software'

async function losses(backend: Name, kind: 'two-layer' | 'wide'): Promise<number[]> {
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
  return steps
}

/** The largest difference, as a share of the largest of the right numbers, 1 at least. */
function distance(are: Float32Array, should: Float32Array): number {
  const scale = should.reduce((most, value) => Math.max(most, Math.abs(value)), 1)
  return are.reduce((most, value, i) => Math.max(most, Math.abs(value - (should[i] as number)) / scale), 0)
}

// Every seventh has each gate, border, pre-activation and size.
const cases = [...patchMoECases.filter((_, i) => i % 7 === 0), ...otherCases]
const layers: Record<string, number> = {}
for (const one of cases) {
  await useBackend('cpu')
  const should = await answersOf(one)
  await useBackend('webgpu-software')
  const are = await answersOf(one)
  layers[one.name] = Math.max(...are.map((values, i) => distance(values, should[i] as Float32Array)))
}
await useBackend('webgpu-software')
const { operations } = await verifyCurrent('webgpu-software', '', trainingChecks())
const trainings: Record<string, Record<Name, number[]>> = {}
for (const kind of ['two-layer', 'wide'] as const) {
  trainings[kind] = {
    cpu: await losses('cpu', kind),
    'webgpu-software': await losses('webgpu-software', kind),
  }
}
console.log(JSON.stringify({ layers, operations, trainings }))
