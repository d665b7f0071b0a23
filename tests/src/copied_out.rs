//! A chapter, copied out of the workspace, is a project of its own.
