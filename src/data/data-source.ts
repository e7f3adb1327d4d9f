/** Where a dataset's files come from: a folder, the samples of the package, files dropped on a page. */
export interface DataSource {
  /**
   * The bytes of one file.
   *
   * @param path relative to the source, with `/` between folders
   * @throws Error naming the file when it is not there or cannot be read
   */
  read(path: string): Promise<Uint8Array>
  /** Whether the source has a file of this path. */
  exists(path: string): Promise<boolean>
  /** The name of a file for people, as errors quote it; of the source itself for an empty path. */
  describe(path: string): string
}
