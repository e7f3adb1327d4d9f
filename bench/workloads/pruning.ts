import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { ChildReport } from '../../scripts/run/measuring/child-report.js'
import { fileSystem, modelFolderFiles } from '../../src/files/model-files.js'
import { modelCost } from '../../src/models/cost.js'
import { pruneExperts } from '../../src/prune/index.js'
import { alternate, type Contestant } from '../alternate.js'
import type { PruningJob } from '../jobs.js'
import { buildNetwork, noiseBatch } from '../network.js'

/**
 * Times `predict` of a mixture and of the same mixture with fewer experts, read back, for every batch size: `whole 1`,
 * `pruned 1`, ... Facts of each: `FLOP` of one image, `parameters`, and `bytes` of the saved network.
 */
export async function measurePruning(job: PruningJob): Promise<Omit<ChildReport, 'software'>> {
  const whole = buildNetwork('wrn-pmoe', job)
  const { model: pruned } = await pruneExperts(whole, {
    criterion: 'router-magnitude',
    keep: job.expertsKept,
  })
  const networks = { whole, pruned }
  const contestants = job.batches.flatMap(batch => {
    const { images } = noiseBatch(job, batch)
    return Object.entries(networks).map(([name, model]) =>
      prediction(`${name} ${batch}`, model, images, batch),
    )
  })
  const facts: Record<string, number> = {}
  for (const [name, model] of Object.entries(networks)) {
    const { multiplyAdds, parameters } = modelCost(model)
    facts[`${name} FLOP`] = 2 * multiplyAdds.forward
    facts[`${name} parameters`] = parameters.total
    facts[`${name} bytes`] = await savedBytes(model)
  }
  return { seconds: await alternate(contestants, job), facts }
}

function prediction(name: string, model: tfl.LayersModel, images: tf.Tensor4D, batch: number): Contestant {
  return {
    name,
    async run() {
      const probabilities = model.predict(images, { batchSize: batch }) as tf.Tensor
      await probabilities.data()
      probabilities.dispose()
    },
  }
}

async function savedBytes(model: tfl.LayersModel): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'pmoe-bench-'))
  try {
    await model.save(fileSystem(folder))
    const sizes = await Promise.all(modelFolderFiles.map(async file => (await stat(join(folder, file))).size))
    return sizes.reduce((sum, size) => sum + size, 0)
  } finally {
    await rm(folder, { recursive: true })
  }
}
