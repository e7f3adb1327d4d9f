import type * as tfl from '@tensorflow/tfjs-layers'
import { halvesByName } from '../../../src/data/datasets/image-folder/folder-halves.js'
import { listFolders, listImages } from '../../../src/data/datasets/image-folder/image-listing.js'
import { patchField, receptiveField } from '../../../src/explain/receptive-field.js'
import { dataFolder } from '../../../src/files/data-folder.js'
import { placedLayers } from '../../../src/layers/layer-paths.js'
import { type MixtureProspect, mixtureProspect } from '../../../src/models/mixture-prospects.js'
import type { PatchMoEPlan } from '../../../src/models/plan-patch-moe.js'

/** What is known of the images that a network is to learn. */
export interface KnownImages {
  /** Training images. */
  readonly images?: number
  /** Share of an image's area that the object fills, in (0, 1]. */
  readonly objectShare?: number
}

/** What a mixture in the place of a convolution can be expected to bring. */
export interface PlaceProspect extends MixtureProspect {
  readonly path: string
  /** Pixels of the image that a cell of the map sees along one side, the longer one; absent where unknown. */
  readonly field?: number
}

/** What mixtures can be expected to bring in the places where they fit, in the order of computation. */
export function placeProspects(
  model: tfl.LayersModel,
  { convolutions }: Pick<PatchMoEPlan, 'convolutions'>,
  known: KnownImages,
): PlaceProspect[] {
  const layers = new Map(
    placedLayers(model).flatMap(({ path, layer, parent }) => (parent === model ? [[path, layer]] : [])),
  )
  return convolutions
    .filter(({ mixture }) => mixture)
    .map(({ path, map: [height, width] }) => {
      const fields = fieldOf(model, layers.get(path))
      const place = { map: Math.min(height, width), ...(fields && { fieldShare: fields.share }), ...known }
      return { path, ...(fields && { field: fields.pixels }), ...mixtureProspect(place) }
    })
}

/** What a cell of a layer's map sees of the image; undefined for layers of nested networks, and behind others that are not known. */
function fieldOf(
  model: tfl.LayersModel,
  layer: tfl.layers.Layer | undefined,
): { readonly pixels: number; readonly share: number } | undefined {
  const output = layer?.inboundNodes[0]?.outputTensors[0]
  const shape = model.inputs[0]?.shape
  const field = output && receptiveField(output)
  if (!field || shape?.length !== 4) return undefined
  const seen = patchField(field, [1, 1])
  const shares = seen.map((pixels, axis) => pixels / (shape[axis + 1] as number))
  return { pixels: Math.max(...seen), share: Math.max(...shares) }
}

/**
 * How many images of a folder are for training: those of its training half, where it has halves, else all.
 *
 * @throws Error when it is no folder, holds no images, or two of its folders stand for one half
 */
export async function trainingImagesIn(directory: string): Promise<number> {
  const source = dataFolder(directory)
  const { train = '' } = halvesByName(await listFolders(source, ''), directory)
  const { paths, ignored } = await listImages(source, train)
  if (paths.length > 0) return paths.length
  throw new Error(
    `${source.describe(train)}: data folder must hold images, got none (${ignored} other files)`,
  )
}
