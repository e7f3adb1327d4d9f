import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { ChildReport } from '../../scripts/run/measuring/child-report.js'
import { modelCost } from '../../src/models/cost.js'
import { alternate, type Contestant } from '../alternate.js'
import type { NetworkKind, PredictionJob } from '../jobs.js'
import { buildNetwork, noiseBatch } from '../network.js'

/**
 * Times `predict` of both networks, read back, for every batch size: `wrn 1`, `wrn-pmoe 1`, ... Facts: the FLOP of one
 * image, by network.
 */
export async function measurePrediction(job: PredictionJob): Promise<Omit<ChildReport, 'software'>> {
  const networks = (['wrn', 'wrn-pmoe'] as const).map(kind => ({ kind, model: buildNetwork(kind, job) }))
  const contestants = job.batches.flatMap(batch => {
    const { images } = noiseBatch(job, batch)
    return networks.map(({ kind, model }) => prediction(kind, model, images, batch))
  })
  const facts = networks.map(({ kind, model }) => [kind, 2 * modelCost(model).multiplyAdds.forward])
  return { seconds: await alternate(contestants, job), facts: Object.fromEntries(facts) }
}

function prediction(
  kind: NetworkKind,
  model: tfl.LayersModel,
  images: tf.Tensor4D,
  batch: number,
): Contestant {
  return {
    name: `${kind} ${batch}`,
    async run() {
      const probabilities = model.predict(images, { batchSize: batch }) as tf.Tensor
      await probabilities.data()
      probabilities.dispose()
    },
  }
}
