// The worker of a page whose visitors drop networks and images: computes what the explorer asks, by the library itself.
import { useBackend } from '../../../src/backend/page/use-backend.js'
import { Explorer } from '../../../src/explore/explorer.js'
import { labelOfPath } from '../../../src/explore/label-of-path.js'
import { WholeNetwork } from '../../../src/explore/whole-network.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import type { ImageShape } from '../../../src/shapes.js'
import { type DroppedDecoding, droppedPicture, droppedPixels } from './dropped-images.js'
import { type DroppedModel, droppedModel } from './dropped-model.js'
import type { DroppedFile, NumberedOrder, Order, OrderAnswer } from './orders.js'
import { registerLayers } from './registered-layers.js'

interface Network {
  readonly explored: WholeNetwork
  readonly decoding: DroppedDecoding
}

const networks: Network[] = []
const images: DroppedFile[] = []
let notes: readonly string[] = []
let backend: Promise<unknown> | undefined

const explorer = new Explorer(() => {
  const { classNames = [] } = networks[0]?.explored.description ?? {}
  return {
    networks: networks.map(({ explored }) => explored),
    images: images.map(({ path }) => {
      const label = labelOfPath(path, classNames)
      return { name: path, ...(label !== undefined && { label }) }
    }),
    notes,
  }
})

self.addEventListener('message', async ({ data: { number, order } }: MessageEvent<NumberedOrder>) => {
  const answer: OrderAnswer = await done(order).then(
    value => ({ number, value }),
    (error: unknown) => ({ number, problem: error instanceof Error ? error.message : String(error) }),
  )
  self.postMessage(answer)
})

async function done(order: Order): Promise<unknown> {
  if (order.do === 'ask') return explorer.ask(order.question)
  if (order.do === 'add network') return addNetwork(order.files)
  if (order.do === 'add images') return addImages(order.files)
  const [network, image] = [networks[order.network], images[order.image]]
  if (!network || !image)
    throw new RangeError('explore: picture must be of a network and an image that there is')
  return droppedPicture(image.file, network.decoding, order.longest)
}

/** Files come in the order of their paths, and those that look like no images are left out. */
function addImages(files: readonly DroppedFile[]): void {
  const isImage = ({ file, path }: DroppedFile) =>
    file.type.startsWith('image/') || /\.(avif|bmp|gif|jpe?g|png|svg|webp)$/i.test(path)
  const added = files.filter(isImage).sort((a, b) => (a.path < b.path ? -1 : 1))
  images.push(...added)
  const { length } = files
  if (added.length > 0) return
  const [first] = files
  throw new Error(
    `explore: files must be images, got ${length === 1 ? first?.path : `${length} files and no image among them`}`,
  )
}

async function addNetwork(files: readonly DroppedFile[]): Promise<void> {
  // Wasm is near this file; the query of its address says another place.
  const wasmPaths = new URL(self.location.href).searchParams.get('wasm') ?? './wasm/'
  backend ??= useBackend('auto', { wasmPaths: new URL(wasmPaths, self.location.href).href }).then(
    ({ name, reason }) => {
      notes = [`Computed in this page, on ${name}: ${reason}.`]
    },
  )
  await backend
  registerLayers()
  const withPaths = files.map(({ file, path }) => {
    Object.defineProperty(file, 'webkitRelativePath', {
      value: path === file.name ? '' : path,
      configurable: true,
    })
    return file
  })
  const dropped = await droppedModel(withPaths)
  try {
    await addModel(dropped)
  } catch (error) {
    disposeModel(dropped.model)
    throw error
  }
}

async function addModel({ model, name, source, classNames, cropSide }: DroppedModel): Promise<void> {
  const shape = (model.inputs[0]?.shape ?? []).slice(1)
  const [height, width, channels] = shape
  if (
    model.inputs.length !== 1 ||
    shape.length !== 3 ||
    !height ||
    !width ||
    (channels !== 1 && channels !== 3)
  ) {
    throw new RangeError(
      `${source}: network must take whole images of [height, width, 1 or 3], got ${model.inputs.length} inputs, ` +
        `the first of [${shape.map(side => side ?? 'any').join(', ')}] (pmoe explore shows others)`,
    )
  }
  const decoding = { shape: shape as unknown as ImageShape, ...(cropSide !== undefined && { cropSide }) }
  const read = (image: number) => droppedPixels((images[image] as DroppedFile).file, decoding)
  const explored = new WholeNetwork({ model, name, source, classNames, read })
  // A third takes the place of the second.
  const added = { explored, decoding }
  await explorer.inTurn(() => {
    for (const replaced of networks.splice(Math.min(networks.length, 1), 1, added))
      replaced.explored.dispose()
  })
}
