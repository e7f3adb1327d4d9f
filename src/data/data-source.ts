/** Where a dataset's files come from: a folder, an archive, the samples of the package, files dropped on a page. */
export interface DataSource {
  /**
   * The bytes of one file.
   *
   * @param path relative to the source, with `/` between folders
   * @throws Error naming the file when it is not there or cannot be read
   */
  read(path: string): Promise<Uint8Array>
  /**
   * Opens one file to read parts of it, for files that are larger than memory.
   *
   * @throws Error naming the file when it is not there or cannot be opened
   */
  open(path: string): Promise<ByteSource>
  /** Whether the source has a file of this path. */
  exists(path: string): Promise<boolean>
  /**
   * What a folder holds, in the order of its names' UTF-16 code units; names of folders end in `/`.
   *
   * @param folder relative to the source; an empty path is the source itself
   * @throws Error naming the folder when it is not there or cannot be read
   */
  list(folder: string): Promise<readonly string[]>
  /**
   * What in a folder `list` leaves out: links that lead nowhere or back to a folder above, and names that cannot be
   * opened; sources without any may leave this method out.
   *
   * @throws as `list`
   */
  strayLinks?(folder: string): Promise<readonly StrayLink[]>
  /** The name of a file for people, as errors quote it; of the source itself for an empty path. */
  describe(path: string): string
}

/** A link that cannot be followed, or a name that cannot be opened. */
export interface StrayLink {
  /** Its name in its folder. */
  readonly name: string
  /** What it is, for people: `a link that leads nowhere`. */
  readonly why: string
}

/** A file of which parts can be read. */
export interface ByteSource {
  /** Bytes in the file. */
  readonly length: number
  /**
   * The bytes from `start` up to `end`, in memory of their own; fewer where the file ends before.
   *
   * @throws Error naming the file when it cannot be read
   */
  slice(start: number, end: number): Promise<Uint8Array>
  close(): Promise<void>
}

/** The source of datasets that are drawn: it has no files. */
export const noFiles: DataSource = {
  read: async path => missing(path),
  open: async path => missing(path),
  exists: async () => false,
  list: async folder => missing(folder),
  describe: path => path,
}

function missing(path: string): never {
  throw new Error(`noFiles: path must not be asked for, got ${path} (images that are drawn have no files)`)
}
