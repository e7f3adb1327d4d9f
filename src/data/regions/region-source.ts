/**
 * An image that is read in parts: small as a whole, and at full resolution only where somebody looks.
 *
 * Pixels are 0..255, (height, width, channels), row-major.
 */
export interface RegionSource {
  /** In pixels. */
  readonly height: number
  /** In pixels. */
  readonly width: number
  readonly channels: number
  /**
   * The whole image decoded small: each value is the mean of one block of `scale` x `scale` pixels; blocks that reach
   * over the lower or right edge are the mean of what they have.
   *
   * @param scale side of a block in pixels, an integer of at least 1
   * @returns (ceil(height / scale), ceil(width / scale), channels)
   * @throws RangeError when the scale is not such a number; Error naming the image when it cannot be read
   */
  view(scale: number): Promise<Uint8Array>
  /**
   * Parts of the image at full resolution; 0 outside of the image.
   *
   * @param boxes (count, 4) top, left, height and width in pixels, all of one size
   * @returns (count, height, width, channels) of the boxes
   * @throws RangeError when the boxes are of several sizes or empty; Error naming the image when it cannot be read, or
   *   is no longer what `view` saw
   */
  regions(boxes: Int32Array): Promise<Uint8Array>
  /** Lets go of what was kept open or decoded; reading after it opens again. */
  close?(): Promise<void>
}

/**
 * Opens an image file of a dataset to be read in parts.
 *
 * @param path relative to the dataset's source
 * @throws Error naming the file when it is not there or no image
 */
export type OpenRegions = (path: string) => Promise<RegionSource>
