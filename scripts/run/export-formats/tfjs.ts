import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { HalvedModel } from '../../../src/export/weights/half-weights.js'
import type { ExportFormatEntry, ExportSettings, Written } from './export-format.js'

/** The layers of tfjs themselves. */
export const tfjs: ExportFormatEntry = {
  title: 'tfjs LayersModel',
  unit: 'layers',
  takesFeeding: false,
  quantizations: ['float16'],
  reading: 'tfl.loadLayersModel of a page that imports patch-moe',
  async folder() {
    const { modelFolder } = await import('../../../src/files/model-files.js')
    return modelFolder
  },
  write,
  async load({ path, backend }) {
    const [{ loadModelFolder }, { ownedRuntime }] = await Promise.all([
      import('../../../src/files/model-files.js'),
      import('./model-runtime.js'),
    ])
    return ownedRuntime(await loadModelFolder(path), backend)
  },
}

async function write(
  model: tfl.LayersModel,
  path: string,
  { facts, quantize }: ExportSettings,
): Promise<Written> {
  const [{ fileSystem }, { countKinds }] = await Promise.all([
    import('../../../src/files/model-files.js'),
    import('../../../src/export/exported-bytes.js'),
  ])
  const folder = fileSystem(path)
  const halving = quantize && (await import('../../../src/export/weights/half-weights.js')).halveWeights
  let halved: HalvedModel | undefined
  let saved = 0
  const describing: tf.io.IOHandler = {
    save: artifacts => {
      const userDefinedMetadata = { ...artifacts.userDefinedMetadata, ...facts }
      halved = halving?.(artifacts)
      saved = weightBytes(artifacts) - weightBytes(halved?.artifacts ?? artifacts)
      return (folder.save as tf.io.SaveHandler)({ ...(halved?.artifacts ?? artifacts), userDefinedMetadata })
    },
  }
  await model.save(describing)
  const sizes = await Promise.all(
    (await readdir(path)).map(async name => (await stat(join(path, name))).size),
  )
  const parts = countKinds(model.layers.map(layer => layer.getClassName()))
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  return {
    bytes,
    parts,
    ...(halved && { inFloat: halved.inFloat, unquantizedBytes: bytes + saved }),
  }
}

function weightBytes({ weightData = [] }: tf.io.ModelArtifacts): number {
  return [weightData].flat().reduce((sum, { byteLength }) => sum + byteLength, 0)
}
