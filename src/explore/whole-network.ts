import type * as tfl from '@tensorflow/tfjs-layers'
import { joinedValues } from '../data/image-values.js'
import { type Explanation, explain } from '../explain/explain.js'
import { occlusion } from '../explain/occlusion.js'
import { restorePatchesPerExpert, routingLayers, setPatchesPerExpert } from '../layers/moe/routing-layers.js'
import { disposeModel } from '../models/dispose-model.js'
import { type ImageShape, type Size2D, shapeSize } from '../shapes.js'
import type { ImageValues } from '../train/upload.js'
import { describeNetwork } from './describe-network.js'
import type {
  ExploredNetwork,
  ImageAnswer,
  NetworkDescription,
  PatchLosses,
  Setting,
  UnreadAnswer,
} from './description.js'
import { withExpertsOff } from './experts-off.js'
import { SEES_ALL } from './sees-all.js'

/** A network that takes whole images, and the images that it is asked about. */
export interface WholeNetworkParts {
  readonly model: tfl.LayersModel
  readonly source: string
  readonly name: string
  readonly classNames: readonly string[]
  /**
   * The values of one image as the network takes them, (height, width, channels).
   *
   * @throws Error when it cannot be read; one of another size is told by the answers
   */
  read(image: number): Promise<ImageValues>
}

const WHERE = 'explore'
/** Values of images that stay in memory. */
const MOST_VALUES = 2 ** 26

/** A network that takes whole images, explored: it answers one question at a time. */
export class WholeNetwork implements ExploredNetwork {
  readonly description: NetworkDescription
  private readonly parts: WholeNetworkParts
  private readonly shape: ImageShape
  private readonly values = new Map<number, ImageValues>()

  /** @throws RangeError when the model is no classifier of images */
  constructor(parts: WholeNetworkParts) {
    this.parts = parts
    this.description = describeNetwork(parts, routingLayers(parts.model))
    this.shape = this.description.input
  }

  /** Frees the model; afterwards nothing can be asked. */
  dispose(): void {
    disposeModel(this.parts.model)
  }

  async answers(
    images: readonly number[],
    setting: Setting,
  ): Promise<readonly (ImageAnswer | UnreadAnswer)[]> {
    const { model } = this.parts
    const values = await Promise.all(images.map(image => this.read(image).catch((error: Error) => error)))
    const readable = values.filter((value): value is ImageValues => !(value instanceof Error))
    const explained = await this.asked(setting, async () =>
      readable.length === 0
        ? []
        : (await explain(model, joinedValues(readable), this.shape, { sensitivity: false })).images,
    )
    const rest = explained.values()
    return values.map(value =>
      value instanceof Error ? { problem: value.message } : this.answerOf(rest.next().value as Explanation),
    )
  }

  async losses(image: number, setting: Setting): Promise<PatchLosses> {
    const { model } = this.parts
    const values = await this.read(image)
    return this.asked(setting, async (): Promise<PatchLosses> => {
      const isOfMap = routingLayers(model) !== undefined && !this.seesAll
      if (isOfMap) {
        const { images, grid } = await explain(model, values, this.shape)
        const lost = [...(images[0]?.sensitivity ?? [])]
        return { grid: grid as Size2D, lost, of: 'patches of the map' }
      }
      const { grid, lost } = await occlusion(model, values, this.shape)
      return { grid, lost: [...lost], of: 'parts of the image' }
    })
  }

  /** The values of an image; those of the last ones stay in memory, as a slider asks about one again and again. */
  private async read(image: number): Promise<ImageValues> {
    const values = this.values.get(image) ?? (await this.parts.read(image))
    if (values.length !== shapeSize(this.shape)) {
      throw new RangeError(
        `${WHERE}: image must have the ${this.shape.join('x')} values that the network takes, got ${values.length}`,
      )
    }
    this.values.delete(image)
    this.values.set(image, values)
    const [oldest] = this.values.keys()
    if (this.values.size * values.length > MOST_VALUES && oldest !== image)
      this.values.delete(oldest as number)
    return values
  }

  /** Whether each patch is computed from about the whole image, so that its place says nothing. */
  private get seesAll(): boolean {
    return (this.description.patches?.sight?.share ?? 0) >= SEES_ALL
  }

  private async asked<Result>(
    { patchesPerExpert, off = [] }: Setting,
    run: () => Promise<Result>,
  ): Promise<Result> {
    const { model } = this.parts
    const restore = restorePatchesPerExpert(model)
    try {
      if (patchesPerExpert !== undefined) {
        setPatchesPerExpert(model, patchesPerExpert, `${WHERE}: patchesPerExpert`)
      }
      return await withExpertsOff(model, off, WHERE, run)
    } finally {
      restore()
    }
  }

  private answerOf({ probabilities, predicted, experts, choices }: Explanation): ImageAnswer {
    return {
      probabilities: [...probabilities],
      predicted,
      experts: experts.map(({ patches, gates }) => ({ patches, gates })),
      ...(choices && { choices }),
    }
  }
}
