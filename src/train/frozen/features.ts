/** The features of a set of images: what a body gives for each, in the stored order of the images. */
export interface FeatureLayout {
  readonly count: number
  /** Numbers of one image. */
  readonly size: number
}

/** Features that are stored, of which any can be read at any time. */
export interface StoredFeatures {
  /**
   * Reads features.
   *
   * @param positions of the images, in [0, count)
   * @returns (positions, size) float32, with memory of its own
   */
  read(positions: Int32Array): Promise<Float32Array>
  /** Ends the use of the features; they stay stored. */
  close(): Promise<void>
  /** Bytes that they take. */
  readonly bytes: number
  /** Whether they were computed now, not found. */
  readonly isNew: boolean
  /** One sentence, where stored features could not be used. */
  readonly remark?: string
}

/** Features that could not be stored, as on a full disk: they are computed in every epoch. */
export interface UnkeptFeatures {
  /** Why, as a part of a sentence. */
  readonly reason: string
}

/** Where the features of frozen bodies are kept, such as the `featureFiles` of a folder. */
export interface FeatureStore {
  /**
   * A name for what the pieces hold, other for other pieces: a cryptographic hash.
   *
   * @param pieces texts, and bytes whose memory may be used again afterwards
   */
  key(pieces: AsyncIterable<string | Uint8Array>): Promise<string>
  /**
   * Opens the features that are stored under a key, or stores them: whole or not at all.
   *
   * @param compute gives them image by image or in batches, in order, if they are not there or damaged
   * @throws what `compute` throws; then nothing is stored
   */
  open(
    key: string,
    layout: FeatureLayout,
    compute: () => AsyncIterable<Float32Array>,
  ): Promise<StoredFeatures | UnkeptFeatures>
}
