namespace Dpo.Samples;

/// <summary>The folder that a program writes to.</summary>
internal static class OutputFolder
{
    /// <summary>Runs a program that alone writes to a folder. One that failed before it wrote anything leaves no folder
    /// behind.</summary>
    public static void Hold(string folder, Action program)
    {
        var isNew = !Directory.Exists(folder);
        try
        {
            using var claim = new FolderLock(folder);
            program();
        }
        finally
        {
            if (isNew && Directory.Exists(folder) && Directory.GetFileSystemEntries(folder).All(entry => Path.GetFileName(entry) == FolderLock.FileName))
                Directory.Delete(folder, recursive: true);
        }
    }
}
