import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import type { ChildReport } from '../../scripts/run/measuring/child-report.js'
import type { ImageStream } from '../../src/data/image-stream.js'
import { arraySource } from '../../src/data/regions/array-source.js'
import type { RegionStream } from '../../src/data/regions/region-stream.js'
import { classifier } from '../../src/models/classifier.js'
import { modelCost } from '../../src/models/cost.js'
import { type RoutedModel, routedModel } from '../../src/models/routed-model.js'
import { smallExpert } from '../../src/models/small-expert.js'
import { random } from '../../src/random.js'
import type { ImageShape } from '../../src/shapes.js'
import { feedOf, networkOf } from '../../src/train/feed.js'
import { lossOf } from '../../src/train/loss.js'
import { createOptimizer } from '../../src/train/optimizers/optimizer.js'
import { type StepParts, takeStep } from '../../src/train/step.js'
import { alternate } from '../alternate.js'
import type { RoutedJob } from '../jobs.js'

/**
 * Times steps of training on images that lie in memory as bytes: `step`, from the bytes to the stepped weights: for the routed model
 * views, choice, cutting, forward, backward and Adam; for the dense network, the layers of an expert on whole images, uploading in
 * the place of the first three. `step, processor`: the processor time of
 * these. Facts: `multiply-adds` of an image forward, `start bytes` and `peak bytes` of the process before the
 * first step and after the last.
 */
export async function measureRouted(job: RoutedJob): Promise<Omit<ChildReport, 'software'>> {
  const { network, step, end } = routedSteps(job)
  const startBytes = process.memoryUsage.rss()
  const processor: number[] = []
  const run = async () => {
    const before = process.cpuUsage()
    await step()
    const { user, system } = process.cpuUsage(before)
    processor.push((user + system) / 1e6)
  }
  const seconds = await alternate([{ name: 'step', run }], job)
  await end()
  return {
    seconds: { ...seconds, 'step, processor': processor.slice(job.warmUp) },
    facts: {
      'multiply-adds': modelCost(network).multiplyAdds.forward,
      'start bytes': startBytes,
      'peak bytes': process.resourceUsage().maxRSS * 1024,
    },
  }
}

/** The network of a job, and a function that takes a step of its training on the same images as ever. */
export function routedSteps(job: RoutedSize & Pick<RoutedJob, 'network' | 'batch'>) {
  const model = job.network === 'routed' ? routedNetwork(job) : denseNetwork(job)
  const network = networkOf(model)
  const labels = Int32Array.from({ length: job.batch }, (_, i) => i % job.classes)
  const parts = adamSteps(network)
  const batches = feedOf(model, endless(job, labels))
    .batches({ batchSize: job.batch })
    [Symbol.asyncIterator]()
  const step = async (): Promise<void> => {
    const { value: batch } = await batches.next()
    const { tensors } = await batch.inputs('step')
    await takeStep(parts, { inputs: tensors, labels })
    tf.dispose([...tensors])
  }
  return { network, step, end: async () => void (await batches.return?.()) }
}

function shapeOf({ size }: Pick<RoutedJob, 'size'>): ImageShape {
  return [size, size, 3]
}

/** How these networks are trained: by Adam, on the labels as they are. */
export function adamSteps(model: tfl.LayersModel): StepParts {
  const classifier = lossOf(model)
  const targets = { numClasses: classifier.numClasses, labelSmoothing: 0, classWeights: undefined }
  const optimizer = createOptimizer({ name: 'adam', learningRate: 3e-3 }, model)
  return { model, classifier, targets, optimizer }
}

/** The routed model of a job, with product gates and the contrast prior. */
export function routedNetwork({ size, classes, cell, keep }: RoutedSize): RoutedModel {
  return routedModel({
    imageShape: shapeOf({ size }),
    numClasses: classes,
    cellSize: cell,
    patchesPerExpert: keep,
    seed: 1,
  })
}

type RoutedSize = Pick<RoutedJob, 'size' | 'classes' | 'cell' | 'keep'>

/** The layers of an expert on whole images. */
function denseNetwork(job: RoutedSize): tfl.LayersModel {
  const { inputs, outputs } = smallExpert(shapeOf(job), 1)
  const logits = tfl.layers.dense({ name: 'logits', units: job.classes }).apply(outputs)
  return classifier(inputs, logits as tfl.SymbolicTensor, 'dense')
}

/** The same batch of noise again and again, as images that are read in parts or whole. */
function endless(job: Parameters<typeof routedSteps>[0], labels: Int32Array): RegionStream & ImageStream {
  const { batch, classes, size } = job
  const shape = shapeOf(job)
  const imageBytes = size * size * 3
  const chance = random(1, 'images')
  const images = Uint8Array.from({ length: batch * imageBytes }, () => chance.below(256))
  const parts = Array.from({ length: batch }, (_, i) => images.subarray(i * imageBytes, (i + 1) * imageBytes))
  const stream = {
    count: batch,
    shape,
    classNames: Array.from({ length: classes }, (_, label) => `class ${label}`),
    async *batches() {
      for (;;) {
        const read = { sources: parts.map(pixels => arraySource(pixels, shape)) }
        yield { labels, count: batch, ...(job.network === 'routed' ? read : { images }) }
      }
    },
  }
  return stream as unknown as RegionStream & ImageStream
}
