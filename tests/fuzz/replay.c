/*
 * Runs a fuzz target over every file of the folders and files it is given: so that each ctest
 * run, with any compiler, tries all that fuzzing has found. Fails when it found no input.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long seen;

static void run_file(const char *path, off_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc((size_t)size + 1);
    if (file == NULL || bytes == NULL || fread(bytes, 1, (size_t)size, file) != (size_t)size) {
        fprintf(stderr, "could not read \"%s\"\n", path);
        exit(1);
    }
    fclose(file);
    /* An exact copy, so that a sanitizer sees a read one past the end. */
    uint8_t *exact = malloc((size_t)size);
    if (size > 0)
        memcpy(exact, bytes, (size_t)size);
    free(bytes);
    LLVMFuzzerTestOneInput(exact, (size_t)size);
    free(exact);
    seen++;
}

static void run(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        fprintf(stderr, "no such input: \"%s\"\n", path);
        exit(1);
    }
    if (!S_ISDIR(st.st_mode)) {
        run_file(path, st.st_size);
        return;
    }
    DIR *dir = opendir(path);
    if (dir == NULL)
        exit(1);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char child[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
        run(child);
    }
    closedir(dir);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run(argv[i]);
    if (seen == 0) {
        fprintf(stderr, "no input found: a target without a corpus tests nothing\n");
        return 1;
    }
    printf("%lu inputs\n", seen);
    return 0;
}
