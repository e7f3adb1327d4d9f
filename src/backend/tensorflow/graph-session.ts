import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type * as tf from '@tensorflow/tfjs-core'
import type { Graph } from '../../export/graph/graph.js'
import { savedModelOfGraph } from '../../export/saved-model/saved-model.js'
import type { GraphProgram } from '../../inference/graph-programs.js'
import type { NativeTensorFlow } from '../native/native.js'
import { loadSavedModel } from './saved-model.js'

/**
 * Hands a whole graph to TensorFlow, which then computes it in one call: tfjs's operations one by one cost more time
 * between them than in them where maps are small.
 *
 * TensorFlow reads graphs from files only; the file is gone when this returns.
 */
export async function graphSession(tensorflow: NativeTensorFlow, graph: Graph): Promise<GraphProgram> {
  const { bytes } = await savedModelOfGraph(graph)
  const folder = await mkdtemp(join(tmpdir(), 'pmoe-graph-'))
  try {
    await writeFile(join(folder, 'saved_model.pb'), bytes)
    const session = await loadSavedModel(tensorflow, folder)
    return {
      run(inputs) {
        const named = Object.fromEntries(graph.inputs.map(({ name }, i) => [name, inputs[i] as tf.Tensor]))
        const outputs = session.predict(named)
        return graph.outputs.map(({ name }) => outputs[name] as tf.Tensor)
      },
      dispose: () => session.dispose(),
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
