import type { DataSource } from '../../data-source.js'

/** Where the parts of CelebA are in a source. */
export interface CelebaLayout {
  /** Path of the table of attributes. */
  readonly attributes: string
  /** Path of the table of training, validation and test images. */
  readonly partition: string
  /** The folder of the images, or the archive with the folder in it. */
  readonly images: string
  /** Names of the images in that folder. */
  readonly imageNames: readonly string[]
}

/** Folders that people unpack CelebA to, below the one that they name. */
const roots = ['', 'CelebA/', 'celeba/']
const attributeFiles = tablePaths(['', 'Anno/'], 'list_attr_celeba')
const partitionFiles = tablePaths(['', 'Eval/'], 'list_eval_partition')
const imageFolders = ['', 'Img/'].flatMap(above =>
  ['img_align_celeba', 'img_align_celeba.zip'].flatMap(holder =>
    ['', '/img_align_celeba', '/img_align_celeba/img_align_celeba'].map(inner => above + holder + inner),
  ),
)

/**
 * Finds the parts of CelebA in the layouts that are around: the official one (`Img/`, `Anno/`, `Eval/`), all in one
 * folder, and tables in CSV with the images in `img_align_celeba/img_align_celeba/`; the images in a folder or in
 * `img_align_celeba.zip`.
 *
 * @throws Error naming the parts that are not there
 */
export async function findCeleba(source: DataSource): Promise<CelebaLayout> {
  let closest: { missing: string[]; root: string } | undefined
  for (const root of roots) {
    const attributes = await firstFile(source, root, attributeFiles)
    const partition = await firstFile(source, root, partitionFiles)
    const images = await firstImages(source, root)
    if (attributes !== undefined && partition !== undefined && images)
      return { attributes, partition, ...images }
    const missing = [
      ...(attributes === undefined ? ['list_attr_celeba.txt or .csv'] : []),
      ...(partition === undefined ? ['list_eval_partition.txt or .csv'] : []),
      ...(images ? [] : ['images in img_align_celeba or img_align_celeba.zip']),
    ]
    if (missing.length < (closest?.missing.length ?? Number.POSITIVE_INFINITY)) closest = { missing, root }
  }
  throw new Error(
    `${source.describe(closest?.root ?? '')}: folder must hold CelebA, got no ${closest?.missing.join(', no ')}`,
  )
}

/** Whether a source holds CelebA; looks at names alone. */
export async function hasCeleba(source: DataSource): Promise<boolean> {
  return findCeleba(source).then(
    () => true,
    () => false,
  )
}

function tablePaths(folders: readonly string[], stem: string): string[] {
  return ['.txt', '.csv'].flatMap(extension => folders.map(folder => folder + stem + extension))
}

async function firstFile(
  source: DataSource,
  root: string,
  paths: readonly string[],
): Promise<string | undefined> {
  for (const path of paths) if (await source.exists(root + path)) return root + path
  return undefined
}

async function firstImages(
  source: DataSource,
  root: string,
): Promise<Pick<CelebaLayout, 'images' | 'imageNames'> | undefined> {
  const listing = listings(source)
  for (const folder of imageFolders) {
    const names = await listing(root + folder)
    const imageNames = names?.filter(isImageName) ?? []
    if (imageNames.length > 0) return { images: root + folder, imageNames }
  }
  return undefined
}

/** Lists folders, each once; undefined for those that are not there. */
function listings(source: DataSource): (folder: string) => Promise<readonly string[] | undefined> {
  const listed = new Map<string, Promise<readonly string[] | undefined>>()
  const list = (folder: string): Promise<readonly string[] | undefined> => {
    const names = listed.get(folder) ?? find(folder)
    listed.set(folder, names)
    return names
  }
  const find = async (folder: string): Promise<readonly string[] | undefined> => {
    const [, above = '', name = ''] = /^(?:(.*)\/)?([^/]*)$/.exec(folder) ?? []
    if (name !== '') {
      const siblings = await list(above)
      // An archive is listed as a file by its folder, but can be listed as a folder itself.
      const isListed = siblings?.some(
        sibling => sibling === `${name}/` || (sibling === name && /\.zip$/i.test(name)),
      )
      if (!isListed) return undefined
    }
    return source.list(folder)
  }
  return list
}

/** Files that other systems leave among images begin with a dot. */
function isImageName(name: string): boolean {
  return /^[^.].*\.(jpe?g|png)$/i.test(name)
}
