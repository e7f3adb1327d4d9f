/** Mean share of the image from which on a patch counts as computed from all of it: its place says nothing then. */
export const SEES_ALL = 0.9
