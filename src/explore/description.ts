import type { ChosenExperts } from '../report/chosen-experts.js'
import type { ImageShape, Size2D } from '../shapes.js'
import type { NetworkGraph } from './network-graph.js'

/** What can be explored: networks, and images that they are asked about. All of it is plain JSON. */
export interface Contents {
  /** One, or two that are compared. */
  readonly networks: readonly NetworkDescription[]
  readonly images: readonly ImageEntry[]
  /** What was found, left out or changed, a sentence each. */
  readonly notes: readonly string[]
}

/** An image, as a page lists it. */
export interface ImageEntry {
  readonly name: string
  /** The name of its class, where that is known. */
  readonly label?: string
}

/** A network, as a page shows it. */
export interface NetworkDescription {
  readonly name: string
  /** Where it was loaded from. */
  readonly source: string
  /** Height, width and channels of the images that it takes; those that are read in parts may be larger. */
  readonly input: ImageShape
  /** In the order of the outputs. */
  readonly classNames: readonly string[]
  /** Numbers in its weights. */
  readonly parameters: number
  /** Of one image, forward. */
  readonly multiplyAdds: number
  readonly graph: NetworkGraph
  /** Absent for a network that keeps every patch. */
  readonly patches?: PatchDescription
  /** The mixtures whose experts can be switched off. */
  readonly mixtures: readonly MixtureDescription[]
}

/** The experts that keep patches, and the patches that they choose from. */
export interface PatchDescription {
  /** [rows, columns]. */
  readonly grid: Size2D
  /** L in training, and the largest that can be asked for. */
  readonly trained: number
  readonly most: number
  /** In the order in which answers list what they kept. */
  readonly experts: readonly ExpertDescription[]
  /** Whether patches are cut out of images that are read in parts; else they are of a map within the network. */
  readonly areOfImage: boolean
  /** What a patch of the map is computed from; absent where unknown, or where patches are of the image itself. */
  readonly sight?: PatchSight
}

/** One expert that keeps patches. */
export interface ExpertDescription {
  readonly title: string
  /** Which expert of a mixture it is, where it can be switched off. */
  readonly place?: ExpertPlace
}

/** One expert of a mixture. */
export interface ExpertPlace {
  /** Path of the mixture. */
  readonly mixture: string
  /** From 0. */
  readonly expert: number
}

/** Which part of the image patches are computed from. */
export interface PatchSight {
  /** Height and width of that part in pixels of the input, padding included. */
  readonly pixels: Size2D
  /** For each patch of the grid: top, left, bottom and right within the image, as shares of its sides in [0, 1]. */
  readonly boxes: readonly (readonly number[])[]
  /** Mean share of the image's area that a patch is computed from, in [0, 1]. */
  readonly share: number
}

/** A mixture whose experts can be switched off. */
export interface MixtureDescription {
  readonly path: string
  readonly choice: 'of patches' | 'of experts'
  /** Titles of its experts. */
  readonly experts: readonly string[]
}

/** How a network is asked. */
export interface Setting {
  /** L of all layers that keep patches; that of training unless given. */
  readonly patchesPerExpert?: number | undefined
  /** Experts that answer 0. */
  readonly off?: readonly ExpertPlace[] | undefined
}

/** What a network says of one image. */
export interface ImageAnswer {
  /** Of every class, in [0, 1]. */
  readonly probabilities: readonly number[]
  /** The class of the largest probability. */
  readonly predicted: number
  /** What each expert kept, as `PatchDescription.experts` lists them; none for a network that keeps every patch. */
  readonly experts: readonly KeptPart[]
  /** Which experts computed the image, for each layer that sends whole samples to experts. */
  readonly choices?: readonly ChosenExperts[]
}

/** The patches that one expert kept. */
export interface KeptPart {
  /** Numbers of patches of the grid, row by row. */
  readonly patches: readonly number[]
  readonly gates: readonly number[]
  /** Of images that are read in parts: top, left, height and width of each patch as shares of the image's sides. */
  readonly boxes?: readonly (readonly number[])[]
}

/** An image that could not be read. */
export interface UnreadAnswer {
  readonly problem: string
}

/** What is lost of the predicted class's probability without a part of the image. */
export interface PatchLosses {
  readonly grid: Size2D
  /** One a cell of the grid, row by row, or one a box; negative where the probability grows. */
  readonly lost: readonly number[]
  /** Of images that are read in parts: top, left, height and width of each kept patch as shares of the image's sides. */
  readonly boxes?: readonly (readonly number[])[]
  /** Whether the output of a patch of the map was set to 0, or a part of the image was covered with its mean colour. */
  readonly of: 'patches of the map' | 'parts of the image'
}

/** A network that answers questions about images. */
export interface ExploredNetwork {
  readonly description: NetworkDescription
  /**
   * What it says of images, in their order.
   *
   * @param images their numbers
   * @throws RangeError when the setting is not for this network
   */
  answers(images: readonly number[], setting: Setting): Promise<readonly (ImageAnswer | UnreadAnswer)[]>
  /**
   * What one image loses without its parts.
   *
   * @throws RangeError as `answers`; Error when the image cannot be read
   */
  losses(image: number, setting: Setting): Promise<PatchLosses>
}
